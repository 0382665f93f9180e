#include "codegen/work.hpp"

#include <algorithm>
#include <bit>
namespace ropejit::internal {
namespace {

// Thread numbers of a slab stay below this, with room for the last block.
constexpr std::uint64_t kSlabThreads = (1ULL << 31) - 1024;
constexpr std::uint64_t kMaxGridY = 65535;

}  // namespace

RowSplit split_of(const KernelClass& kernel_class, const Variant& variant, const PlanOperand& operand) {
  const auto element = static_cast<std::uint32_t>(size_of(kernel_class.dtype));
  return split_row(operand.heads, operand.head_dim, kernel_class.rotary_dim, kernel_class.layout == Layout::interleaved,
                   kernel_class.layout_out == Layout::interleaved, operand.heads != 0 && !operand.in_place(),
                   variant.access_bytes / element, variant.heads_per_thread);
}

BlockSplit block_of(const KernelClass& kernel_class, const Variant& variant) {
  return split_block(split_of(kernel_class, variant, kernel_class.q), split_of(kernel_class, variant, kernel_class.k),
                     kernel_class.by_rows(), variant.threads);
}

AccessWidths access_widths(const KernelClass& kernel_class, const Variant& variant) {
  const RowSplit split = split_of(kernel_class, variant, kernel_class.q);
  const auto width = [](std::uint32_t lanes, DType dtype) {
    return std::min(16U, lanes * static_cast<std::uint32_t>(size_of(dtype)));
  };
  // Lanes that do not rotate are written as they are read; those that do, as many as lie together.
  const auto out_width = [&](const PlanOperand& operand) {
    const bool copies = operand.heads != 0 && !operand.in_place();
    const std::uint32_t lanes = copies ? std::max(split.out_word_lanes, split.word_lanes) : split.out_word_lanes;
    return width(lanes, operand.dtype_out);
  };
  AccessWidths widths{variant.access_bytes, out_width(kernel_class.q), out_width(kernel_class.k), 1};
  if (!kernel_class.reads_table()) return widths;
  const bool two_a_pair = kernel_class.angles == AngleSource::complex || kernel_class.angles == AngleSource::repeated;
  const bool one_by_one = variant.family == Family::universal || kernel_class.axes > 1;
  const std::uint32_t together = split.pairs_per_thread * (two_a_pair ? 2U : 1U);
  // As table_access in templates/table.cuh.
  widths.table = width(one_by_one ? 1 : together, kernel_class.table_dtype);
  return widths;
}

Grid grid_for(std::uint32_t tokens, const BlockSplit& block) noexcept {
  const std::uint64_t per_token = block.items_per_token;
  // Threads and items of a slab are numbered in 32 bits, with room for the last block.
  const std::uint64_t threads_per_item = std::max(1U, block.row_threads);
  const std::uint64_t slab = std::clamp<std::uint64_t>(kSlabThreads / (per_token * threads_per_item), 1, tokens);
  const std::uint64_t slabs = (tokens + slab - 1) / slab;
  Grid grid;
  if (slabs > kMaxGridY) return grid;
  grid.x = static_cast<std::uint32_t>((slab * per_token + block.items_per_block - 1) / block.items_per_block);
  grid.y = static_cast<std::uint32_t>(slabs);
  grid.tokens_per_slab = static_cast<std::uint32_t>(slab);
  return grid;
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
