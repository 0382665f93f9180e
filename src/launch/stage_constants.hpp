// The numbers of a plan's stages as kernels take them: what it costs to make them is paid when a kernel is prepared.
#pragma once

#include <array>
#include <cstddef>

#include "codegen/work.hpp"
#include "launch_params.cuh"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// A launch copies these behind the addresses that it brings.
struct PreparedConstants {
  PreparedConstants() = default;
  explicit PreparedConstants(const RotationPlan& plan) : has_numbers(plan.kernel_class.has_stage_numbers()) {
    for (std::size_t i = 0; i < kMostOperands; ++i) {
      const StageConstants& own = plan.constants[i];
      eps[i] = own.eps;
      numbers[i] = {nullptr,   nullptr,   nullptr,       long_divisor(own.tau_length), own.tau_coefficient,
                    own.clamp, own.scale, own.norm_share};
    }
  }

  bool has_numbers = false;                           ///< some stage of the class reads StageParams::numbers
  std::array<float, kMostOperands> eps{};             ///< of norms, whatever other stages there are
  std::array<StageNumbers, kMostOperands> numbers{};  ///< without addresses
};

/// Of one operand, all but the addresses.
inline void copy_constants(const StageNumbers& from, StageNumbers& to) noexcept {
  to.tau_length = from.tau_length;
  to.tau_coefficient = from.tau_coefficient;
  to.clamp = from.clamp;
  to.scale = from.scale;
  to.norm_share = from.norm_share;
}

}  // namespace ropejit::internal
