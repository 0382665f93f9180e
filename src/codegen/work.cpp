#include "codegen/work.hpp"

#include <algorithm>
#include <bit>

namespace ropejit::internal {

RowSplit split_of(const KernelClass& kernel_class, const Variant& variant, const PlanOperand& operand) {
  const auto element = static_cast<std::uint32_t>(size_of(kernel_class.dtype));
  const RowShape row{operand.heads, operand.head_dim, operand.first_lane, operand.heads != 0 && !operand.in_place()};
  return split_row(row, kernel_class.rotary_dim, kernel_class.layout == Layout::interleaved,
                   kernel_class.layout_out == Layout::interleaved, variant.access_bytes / element, element,
                   variant.family != Family::universal, variant.heads_per_thread);
}

Cut cut_of(const KernelClass& kernel_class, const Variant& variant) {
  if (kernel_class.by_rows()) return Cut::rows;
  return variant.family == Family::lanes ? Cut::warps : Cut::items;
}

BlockWork block_work_of(const KernelClass& kernel_class, const Variant& variant) {
  const Cut cut = cut_of(kernel_class, variant);
  BlockWork work;
  work.q = split_block(split_of(kernel_class, variant, kernel_class.q), cut, variant.threads);
  work.threads = threads_of_block(work.q);
  work.k = split_block(split_of(kernel_class, variant, kernel_class.k), cut, work.threads);
  return work;
}

AccessWidths access_widths(const KernelClass& kernel_class, const Variant& variant) {
  const RowSplit q = split_of(kernel_class, variant, kernel_class.q);
  const RowSplit k = split_of(kernel_class, variant, kernel_class.k);
  const auto width = [&](std::uint32_t lanes, DType dtype) {
    return access_of(lanes, static_cast<std::uint32_t>(size_of(dtype)), variant.access_bytes);
  };
  const auto copied = [](const RowSplit& row) { return row.still_words > 0 ? row.copy_lanes : 1U; };
  const auto out_width = [&](const RowSplit& row, DType dtype) {
    return width(std::max(row.out_word_lanes, copied(row)), dtype);
  };
  AccessWidths widths{std::max(variant.access_bytes, width(std::max(copied(q), copied(k)), kernel_class.dtype)),
                      out_width(q, kernel_class.q.dtype_out), out_width(k, kernel_class.k.dtype_out), 1};
  if (!kernel_class.reads_table()) return widths;
  const bool two_a_pair = kernel_class.angles == AngleSource::complex || kernel_class.angles == AngleSource::repeated;
  // As reads_table_one_by_one of templates/config.cuh.
  const bool one_by_one = variant.family == Family::universal || kernel_class.axes > 1;
  widths.table = width(one_by_one ? 1 : q.pairs_per_thread * (two_a_pair ? 2U : 1U), kernel_class.table_dtype);
  return widths;
}

std::uint64_t bytes_per_token(const KernelClass& kernel_class) {
  std::uint64_t bytes = 0;
  for (const PlanOperand& operand : {kernel_class.q, kernel_class.k}) {
    const std::uint64_t lanes = operand.in_place() ? kernel_class.rotary_dim : operand.head_dim;
    bytes +=
        operand.heads * lanes * static_cast<std::uint64_t>(size_of(kernel_class.dtype) + size_of(operand.dtype_out));
  }
  return bytes;
}

std::uint32_t blocks_for(std::uint32_t tokens, const BlockSplit& split) noexcept {
  if (split.parts == 1) return split.tokens == 1 ? tokens : (tokens + split.tokens - 1) / split.tokens;
  const std::uint64_t blocks = std::uint64_t{tokens} * split.parts;
  return blocks > kMaxBlocks ? 0 : static_cast<std::uint32_t>(blocks);
}

FastDivisor fast_divisor(std::uint32_t divisor) noexcept {
  FastDivisor result{divisor, 0, 0};
  if (divisor == 1) return result;
  const auto log = static_cast<unsigned>(std::bit_width(divisor - 1));  // ceil(log2(divisor))
  result.multiplier = static_cast<unsigned>((1ULL << (31 + log)) / divisor + 1);
  result.shift = log - 1;
  return result;
}

}  // namespace ropejit::internal
