// The statistics of norms that a launch reads or writes: checked against all its tensors, and turned into
// StatisticParams.
#pragma once

#include "launch/launch_arguments.hpp"

namespace ropejit::internal {

/// Whether a launch brings memory of any statistic.
inline bool brings_statistics(const RopeArgs& args) noexcept {
  return args.q_norm_statistic.data != nullptr || args.k_norm_statistic.data != nullptr ||
         args.v_norm_statistic.data != nullptr || args.q_norm_statistic_out.data != nullptr ||
         args.k_norm_statistic_out.data != nullptr || args.v_norm_statistic_out.data != nullptr;
}

/// What is wrong with those of a launch that brings some to a class without norms.
const char* refuse_statistics(const RopeArgs& args) noexcept;

/// Returns null, or what is wrong with the statistics. `out` has everything else of the tensors and the cache.
const char* fill_statistics(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

}  // namespace ropejit::internal
