// How a launch is cut into blocks: the host's side of templates/row_split.cuh.
#pragma once

#include <array>
#include <cstdint>

#include "codegen/variant.hpp"
#include "launch_params.cuh"
#include "row_split.cuh"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// Widths in bytes of the variant's accesses: each must divide every address that it is used at.
struct AccessWidths {
  std::uint32_t in = 0;
  std::array<std::uint32_t, kMostOperands> out{};  ///< to each operand's output; beyond those of the class 0
  std::uint32_t table = 0;                         ///< to a caller's table; 1 where the class reads none
  std::uint32_t weight = 1;                        ///< to weights and biases of all stages; 1 where the class has none
};

/// How one operand's part is cut: all threads of a block work on the same operand.
struct OperandWork {
  RowSplit row{};
  BlockSplit block{};
};

struct Work {
  Cut cut = Cut::items;  ///< where a token's threads may begin and end, of operands that rotate without a norm
  std::array<OperandWork, kMostOperands> operands{};  ///< in the order of the class; beyond them no meaning
  std::uint32_t threads = 0;                          ///< of a block
  AccessWidths widths;
};

/// How the variant cuts a launch. It must be legal, or at least have accesses of one element or more.
Work work_of(const KernelClass& kernel_class, const Variant& variant);

/// The row of the first operand that rotates; of the first of all where none does.
const RowSplit& rotating_row(const KernelClass& kernel_class, const Work& work);

/// In how many rounds a block goes over a row that is read whole before it is written (Cut::rows), of the operand that
/// needs most; 1 where there is none.
std::uint32_t rounds_of_rows(const KernelClass& kernel_class, const Work& work);

/// The bytes that a launch reads and writes for one token. In place they are those of the lanes that rotate alone.
std::uint64_t bytes_per_token(const KernelClass& kernel_class);

/// The most blocks that a grid's x can hold.
constexpr std::uint32_t kMaxBlocks = (1U << 31) - 1;
/// Blocks that hold `tokens` tokens of one operand; 0 where they are more than kMaxBlocks. tokens in [1, 2^31).
inline std::uint32_t blocks_for(std::uint32_t tokens, const BlockSplit& split) noexcept {
  if (split.parts == 1) return split.tokens == 1 ? tokens : (tokens + split.tokens - 1) / split.tokens;
  const std::uint64_t blocks = std::uint64_t{tokens} * split.parts;
  return blocks > kMaxBlocks ? 0 : static_cast<std::uint32_t>(blocks);
}

/// How to divide by `divisor`, which is in [1, 2^31), without dividing.
FastDivisor fast_divisor(std::uint32_t divisor) noexcept;

/// The same for numbers below 2^63 and any divisor from 1 to 2^62.
LongDivisor long_divisor(std::int64_t divisor) noexcept;

}  // namespace ropejit::internal
