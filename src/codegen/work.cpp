#include "codegen/work.hpp"

#include <algorithm>
#include <bit>

#include "row_split.cuh"

namespace ropejit::internal {
namespace {

// Thread numbers of a slab stay below this, with room for the last block.
constexpr std::uint64_t kSlabThreads = (1ULL << 31) - 1024;
constexpr std::uint64_t kMaxGridY = 65535;

RowSplit split_of(const KernelClass& kernel_class, const Variant& variant, const PlanOperand& operand) {
  const auto element = static_cast<std::uint32_t>(size_of(kernel_class.dtype));
  return split_row(operand.heads, operand.head_dim, kernel_class.rotary_dim, kernel_class.layout == Layout::interleaved,
                   kernel_class.layout_out == Layout::interleaved, kernel_class.placement == Placement::out_of_place,
                   variant.access_bytes / element, variant.heads_per_thread);
}

std::uint64_t items(const KernelClass& kernel_class, const Variant& variant, const PlanOperand& operand) {
  return operand.heads == 0 ? 0 : split_of(kernel_class, variant, operand).items();
}

}  // namespace

std::uint64_t items_per_token(const KernelClass& kernel_class, const Variant& variant) {
  return items(kernel_class, variant, kernel_class.q) + items(kernel_class, variant, kernel_class.k);
}

std::uint32_t table_access_bytes(const KernelClass& kernel_class, const Variant& variant) {
  if (!kernel_class.reads_table()) return 0;
  const bool two_a_pair = kernel_class.angles == AngleSource::complex || kernel_class.angles == AngleSource::repeated;
  const std::uint32_t pairs = split_of(kernel_class, variant, kernel_class.q).pairs_per_thread;
  const auto element = static_cast<std::uint32_t>(size_of(kernel_class.table_dtype));
  if (variant.family == Family::universal) return element;
  return std::min(16U, pairs * (two_a_pair ? 2 : 1) * element);
}

Grid grid_for(std::uint32_t tokens, std::uint64_t items_per_token, std::uint32_t threads) noexcept {
  const std::uint64_t slab = std::clamp<std::uint64_t>(kSlabThreads / items_per_token, 1, tokens);
  const std::uint64_t slabs = (tokens + slab - 1) / slab;
  Grid grid;
  if (slabs > kMaxGridY) return grid;
  grid.x = static_cast<std::uint32_t>((slab * items_per_token + threads - 1) / threads);
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
