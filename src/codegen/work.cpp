#include "codegen/work.hpp"

#include <algorithm>
#include <bit>

namespace ropejit::internal {

namespace {

static_assert(kMostOperands == MostOperands, "the kernels' parameters have room for as many");

RowSplit split_of(const KernelClass& kernel_class, const Variant& variant, const PlanOperand& operand) {
  const auto element = static_cast<std::uint32_t>(size_of(kernel_class.dtype));
  const bool norms_part = operand.is_normed() && operand.norm.lanes != operand.head_dim;
  const RowShape row{operand.heads,
                     operand.head_dim,
                     operand.first_lane,
                     operand.rotates() ? kernel_class.rotary_dim : 0,
                     operand.writes_whole_rows(),
                     (norms_part ? operand.norm.first_lane | operand.norm.lanes : 0) | operand.split_lanes};
  return split_row(row, kernel_class.layout == Layout::interleaved, kernel_class.layout_out == Layout::interleaved,
                   variant.access_bytes / element, element, variant.family != Family::universal,
                   variant.heads_per_thread);
}

AccessWidths widths_of(const KernelClass& kernel_class, const Variant& variant, const Work& work) {
  const auto width = [&](std::uint32_t lanes, DType dtype) {
    return access_of(lanes, static_cast<std::uint32_t>(size_of(dtype)), variant.access_bytes);
  };
  AccessWidths widths;
  widths.in = variant.access_bytes;
  widths.table = 1;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const RowSplit& row = work.operands[i].row;
    const PlanOperand& operand = kernel_class.operands[i];
    const bool copies = row.still_words > 0 || !operand.rotates();
    const std::uint32_t copied = copies ? row.copy_lanes : 1U;
    widths.in = std::max(widths.in, width(copied, kernel_class.dtype));
    widths.out[i] = width(std::max(row.out_word_lanes, copied), operand.dtype_out);
    const std::uint32_t rotating = operand.rotates() ? row.word_lanes : 1U;
    const std::uint32_t read = std::max(rotating, copied);
    if (operand.is_normed() && operand.norm.weights != NormWeight::none) {
      widths.weight = std::max(widths.weight, width(read, operand.norm.weight));
    }
    if (operand.has(Stage::bias)) widths.weight = std::max(widths.weight, width(read, kernel_class.dtype));
  }
  if (!kernel_class.reads_table()) return widths;
  const AngleSource angles = kernel_class.form.angles;
  const bool two_a_pair = angles == AngleSource::complex || angles == AngleSource::repeated;
  // As reads_table_one_by_one of templates/config.cuh.
  const bool one_by_one = variant.family == Family::universal || kernel_class.axes > 1;
  const std::uint32_t pairs = rotating_row(kernel_class, work).pairs_per_thread;
  widths.table = width(one_by_one ? 1 : pairs * (two_a_pair ? 2U : 1U), kernel_class.form.table_dtype);
  return widths;
}

}  // namespace

Work work_of(const KernelClass& kernel_class, const Variant& variant) {
  Work work;
  work.cut = kernel_class.by_rows() ? Cut::rows : variant.family == Family::lanes ? Cut::warps : Cut::items;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const PlanOperand& operand = kernel_class.operands[i];
    OperandWork& own = work.operands[i];
    own.row = split_of(kernel_class, variant, operand);
    // As KernelConfig::cut_of and block.
    const Cut cut = operand.is_normed_by_token() ? Cut::tokens
                    : operand.is_staged()        ? Cut::segments
                    : operand.rotates()          ? work.cut
                                                 : Cut::items;
    own.block = split_block(own.row, cut, i == 0 ? variant.threads : work.threads);
    if (i == 0) work.threads = threads_of_block(own.block);
  }
  work.widths = widths_of(kernel_class, variant, work);
  return work;
}

const RowSplit& rotating_row(const KernelClass& kernel_class, const Work& work) {
  const auto* const at = llvm::find_if(kernel_class.operands, [](const PlanOperand& one) { return one.rotates(); });
  const bool found = at != kernel_class.operands.end();
  return work.operands[found ? static_cast<std::size_t>(at - kernel_class.operands.begin()) : 0].row;
}

std::uint32_t rounds_of_rows(const KernelClass& kernel_class, const Work& work) {
  std::uint32_t most = 1;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const PlanOperand& operand = kernel_class.operands[i];
    const bool by_rows = work.cut == Cut::rows && operand.rotates() && !operand.is_staged();
    if (by_rows) most = std::max(most, work.operands[i].block.rounds);
  }
  return most;
}

std::uint64_t bytes_per_token(const KernelClass& kernel_class) {
  std::uint64_t bytes = 0;
  for (const PlanOperand& operand : kernel_class.operands) {
    if (operand.is_idle()) continue;
    const std::uint64_t lanes = operand.writes_whole_rows() ? operand.head_dim : kernel_class.rotary_dim;
    const std::int64_t stored = operand.has_store ? size_of(operand.dtype_out) : 0;
    bytes += operand.heads * lanes * static_cast<std::uint64_t>(size_of(kernel_class.dtype) + stored);
    if (operand.norm.statistic != StatisticUse::computed) bytes += operand.statistics() * sizeof(float);
    if (!operand.is_written_beside()) continue;
    const std::uint64_t lanes_beside = operand.writes_whole_rows_beside() ? operand.head_dim : kernel_class.rotary_dim;
    bytes += operand.heads * lanes_beside * static_cast<std::uint64_t>(size_of(operand.dtype_out));
  }
  return bytes;
}

FastDivisor fast_divisor(std::uint32_t divisor) noexcept {
  FastDivisor result{divisor, 0, 0};
  if (divisor == 1) return result;
  const auto log = static_cast<unsigned>(std::bit_width(divisor - 1));  // ceil(log2(divisor))
  result.multiplier = static_cast<unsigned>((1ULL << (31 + log)) / divisor + 1);
  result.shift = log - 1;
  return result;
}

LongDivisor long_divisor(std::int64_t divisor) noexcept {
  LongDivisor result{divisor, 0, 0};
  if (divisor == 1) return result;
  __extension__ using Wide = unsigned __int128;
  const auto log = static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(divisor) - 1));
  result.multiplier =
      static_cast<unsigned long long>((Wide{1} << (63 + log)) / static_cast<std::uint64_t>(divisor) + 1);
  result.shift = log - 1;
  return result;
}

}  // namespace ropejit::internal
