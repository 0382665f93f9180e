// The options that decide what NVRTC makes of a source, besides the architecture.
#pragma once

#include <string>
#include <vector>

namespace ropejit::internal {

/// Lambdas that are templates cannot be marked __device__: NVRTC takes them for host code without the third option.
/// Never --use_fast_math: it maps sinf to a sine that is wrong by 1e-2 at position 131,071.
inline std::vector<std::string> nvrtc_options() {
  return {"--std=c++20", "--fmad=false", "--device-as-default-execution-space", "--ptxas-options=-v"};
}

}  // namespace ropejit::internal
