// What an operand's stages read beside its lanes: weights and biases of norms, biases, factors of heads. Checked, and
// turned into parameters.
#pragma once

#include "launch/launch_arguments.hpp"

namespace ropejit::internal {

/// Returns null, or what is wrong with that memory. `out` knows which operands have work. Of alignment, what the fast
/// kernels read by words is looked at: all but the factors of heads.
const char* fill_stages(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

/// What is wrong with a launch that brings any of it to a class that has a rotation at most; null: it brings none.
const char* refuse_stages(const RopeArgs& args) noexcept;

}  // namespace ropejit::internal
