// What an operand's stages read beside its lanes: weights and biases of norms, biases, factors of heads. Checked, and
// turned into parameters.
#pragma once

#include "launch/launch_arguments.hpp"

namespace ropejit::internal {

/// Returns null, or what is wrong with that memory. `out` knows which operands have work. Of alignment, what the fast
/// kernels read by words is looked at: all but the factors of heads.
const char* fill_stages(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

/// Whether a launch brings any of it.
inline bool brings_stages(const RopeArgs& args) noexcept {
  const auto bits = [](auto... addresses) { return (reinterpret_cast<std::uintptr_t>(addresses) | ...); };
  return (bits(args.q_norm_weight, args.k_norm_weight, args.v_norm_weight, args.q_norm_bias, args.k_norm_bias,
               args.v_norm_bias, args.q_bias, args.k_bias, args.v_bias) |
          bits(args.q_head_scales, args.k_head_scales, args.v_head_scales)) != 0;
}

/// What is wrong with a launch that brings some to a class that has a rotation at most.
const char* refuse_stages(const RopeArgs& args) noexcept;

}  // namespace ropejit::internal
