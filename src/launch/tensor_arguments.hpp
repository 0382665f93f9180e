// The tensors of a launch, whatever their strides: checked, and turned into LaunchParams.
#pragma once

#include "launch/launch_arguments.hpp"

namespace ropejit::internal {

/// Returns null, or what is wrong with the tensors. `out.tokens` is known and not 0.
const char* fill_tensors(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

}  // namespace ropejit::internal
