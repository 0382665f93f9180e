// The CUDA driver as a target, loaded with dlopen.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "target/target.hpp"

namespace ropejit::internal {

struct CudaInfo {
  int devices = 0;                    ///< 0: see problem
  std::string driver;                 ///< "13.0", what the driver supports
  std::string problem;                ///< one line, when there is no usable driver or device
  bool short_of_descriptors = false;  ///< there may be a device: file descriptors to look for one are missing
  bool is_forked = false;             ///< that is the problem: the parent of this process has the devices
};
CudaInfo cuda_info();

/// Device `ordinal`. Throws Error{device_unavailable}. `nvrtc`: ServiceOptions::nvrtc.
std::shared_ptr<const Target> cuda_target(int ordinal, const std::optional<std::string>& nvrtc);

}  // namespace ropejit::internal
