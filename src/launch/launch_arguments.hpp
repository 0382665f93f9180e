// From RopeArgs to LaunchParams: strides made explicit, everything checked that can be checked without reading the
// device. Part of the hot path.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "codegen/work.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"
#include "ropejit/tensor.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// Zeroes in pieces: for the whole, compilers take one instruction, slower than most of a launch's checks together.
inline void clear(LaunchParams& params) noexcept {
  constexpr std::size_t kPiece = 64;
  constexpr std::size_t kLast = sizeof params % kPiece;
  char* const at = reinterpret_cast<char*>(&params);
  [at]<std::size_t... i>(std::index_sequence<i...>) { (std::memset(at + kPiece * i, 0, kPiece), ...); }
  (std::make_index_sequence<sizeof(LaunchParams) / kPiece>());
  std::memset(at + sizeof params - kLast, 0, kLast);
}

struct LaunchArguments {
  LaunchArguments() noexcept { clear(params); }

  /// All but the blocks, the steps and the plan's numbers (PreparedConstants); `more`, `lines`, `beside`, `statistic`,
  /// `numbers`, `table` and `second_beside` for operands that have work alone, and where the class's kernels take them.
  StoreParams params;
  bool is_prologue = false;                    ///< KernelClass::is_prologue
  std::uint32_t tokens = 0;                    ///< tokens of all sequences; 0: nothing to launch
  std::array<bool, kMostOperands> has_work{};  ///< operands of the class that are neither left out nor idle
  /// For each kind of access of the form's fast kernels, the largest power of two up to 32 that divides every address
  /// it would start at. All 0: the tensors break the form's promise (strides, lanes apart) and only the universal entry
  /// serves. What is not accessed has 32.
  AccessWidths aligned;

  bool allow(const AccessWidths& widths) const noexcept {
    bool all = widths.in <= aligned.in && widths.table <= aligned.table && widths.weight <= aligned.weight;
    for (std::size_t i = 0; i < kMostOperands; ++i) all = all && widths.out[i] <= aligned.out[i];
    return all;
  }
};

/// Returns ok, or says which field is wrong.
LaunchStatus check_arguments(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

}  // namespace ropejit::internal
