// How a launch is cut into blocks: the host's side of templates/row_split.cuh.
#pragma once

#include <cstdint>

#include "codegen/variant.hpp"
#include "launch_params.cuh"
#include "row_split.cuh"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// How one operand's row is cut. The operand may be absent.
RowSplit split_of(const KernelClass& kernel_class, const Variant& variant, const PlanOperand& operand);

/// What a block takes. Both may be launched with k left out; its threads then do nothing.
BlockSplit block_of(const KernelClass& kernel_class, const Variant& variant);

/// Widths in bytes of the variant's accesses: each must divide every address that it is used at.
struct AccessWidths {
  std::uint32_t in = 0;
  std::uint32_t q_out = 0;
  std::uint32_t k_out = 0;
  std::uint32_t table = 0;  ///< to a caller's table: 1 where the class reads none
};
AccessWidths access_widths(const KernelClass& kernel_class, const Variant& variant);

struct Grid {
  std::uint32_t x = 0;
  std::uint32_t y = 0;  ///< slabs of tokens_per_slab tokens
  std::uint32_t tokens_per_slab = 0;
};

/// x is 0 where the launch is too large for a grid (more than 65,535 slabs). tokens in [1, 2^31).
Grid grid_for(std::uint32_t tokens, const BlockSplit& block) noexcept;

/// divisor in [1, 2^31).
FastDivisor fast_divisor(std::uint32_t divisor) noexcept;

}  // namespace ropejit::internal
