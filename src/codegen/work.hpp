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

/// Where the threads of a token may begin and end.
Cut cut_of(const KernelClass& kernel_class, const Variant& variant);

/// What a block takes: all of its threads work on q, or all on k.
struct BlockWork {
  BlockSplit q{};
  BlockSplit k{};  ///< of an absent k: no meaning
  std::uint32_t threads = 0;
};
BlockWork block_work_of(const KernelClass& kernel_class, const Variant& variant);

/// Widths in bytes of the variant's accesses: each must divide every address that it is used at.
struct AccessWidths {
  std::uint32_t in = 0;
  std::uint32_t q_out = 0;
  std::uint32_t k_out = 0;
  std::uint32_t table = 0;  ///< to a caller's table: 1 where the class reads none
};
AccessWidths access_widths(const KernelClass& kernel_class, const Variant& variant);

/// What a launch reads and writes of q and k for one token. In place the lanes that rotate alone.
std::uint64_t bytes_per_token(const KernelClass& kernel_class);

/// What a grid's x can hold.
constexpr std::uint32_t kMaxBlocks = (1U << 31) - 1;
/// Blocks that hold `tokens` tokens of one operand; 0 where they are more than kMaxBlocks. tokens in [1, 2^31).
std::uint32_t blocks_for(std::uint32_t tokens, const BlockSplit& split) noexcept;

/// divisor in [1, 2^31).
FastDivisor fast_divisor(std::uint32_t divisor) noexcept;

}  // namespace ropejit::internal
