// From RopeArgs to LaunchParams: strides made explicit, everything checked that can be checked without reading the
// device. Part of the hot path.
#pragma once

#include <cstdint>

#include "codegen/work.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"
#include "ropejit/tensor.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

struct LaunchArguments {
  LaunchParams params{};     ///< all but the blocks and the steps
  std::uint32_t tokens = 0;  ///< of all sequences; 0: nothing to launch
  /// For each kind of access of the form's fast kernels, the largest power of two up to 32 that divides every address
  /// it would start at. All 0: the tensors break the form's promise (strides, lanes apart) and only the universal entry
  /// serves. What is not accessed has 32.
  AccessWidths aligned;

  bool allow(const AccessWidths& widths) const noexcept {
    return widths.in <= aligned.in && widths.q_out <= aligned.q_out && widths.k_out <= aligned.k_out &&
           widths.table <= aligned.table;
  }
};

/// ok, or which field is wrong.
LaunchStatus check_arguments(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

}  // namespace ropejit::internal
