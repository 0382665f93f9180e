// NVRTC, loaded with dlopen when something must be compiled. Needs no GPU and no driver.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "target/target.hpp"

namespace ropejit::internal {

/// A compiler for one architecture, by its exact name: "sm_90". Throws Error{compile_failed} where no NVRTC of
/// 12.4 or newer can be loaded, Error{invalid_argument} where it does not know the architecture.
std::unique_ptr<Compiler> nvrtc_compiler(const std::string& arch, const std::optional<std::string>& nvrtc);

/// What NVRTC is there: its version and every architecture that it compiles for, or why it cannot be had.
struct NvrtcInfo {
  bool available = false;
  std::string version;             ///< "13.0"
  std::string path;                ///< the library that was loaded
  std::vector<std::string> archs;  ///< "sm_75", "sm_80", ...
  std::string problem;             ///< one line, when not available
};
NvrtcInfo nvrtc_info(const std::optional<std::string>& nvrtc);

}  // namespace ropejit::internal
