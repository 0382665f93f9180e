// A cubin loaded into the driver, and its entry.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cuda/driver_api.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

/// What a kernel must know of its device.
struct DeviceTraits {
  std::uint32_t multiprocessors = 1;
  bool overlaps = false;  ///< it can begin a launch while the one before is ending: since sm_90
};

/// Throws Error{load_failed}. Independent of contexts; where one is current the code is put there now, also while a
/// stream of this thread is being captured.
std::shared_ptr<const LoadedKernel> load_cuda_kernel(const DriverApi& api, std::string_view image,
                                                     const KernelSource& source, DeviceTraits device);

}  // namespace ropejit::internal
