#include "tune/workload.hpp"

#include <algorithm>
#include <cstring>

#include "codegen/work.hpp"
#include "launch/operand_args.hpp"

namespace ropejit::internal {
namespace {

constexpr std::int64_t kMostSequences = 8;
constexpr std::int64_t kBlockSize = 16;  // places of a page

std::size_t rounded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

template <class T>
const T* put(const Target& target, std::vector<DeviceBuffer>& buffers, const std::vector<T>& values) {
  buffers.push_back(target.allocate(values.size() * sizeof(T)));
  target.upload_aside(buffers.back().data(), values.data(), values.size() * sizeof(T));
  return static_cast<const T*>(buffers.back().data());
}

template <class T>
std::vector<T> counted_up(std::size_t count, std::size_t repeats = 1) {
  std::vector<T> values(count * repeats);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i % count);
  return values;
}

bool needs_even(const KernelClass& kernel_class) {
  return kernel_class.form.context_parallel == ContextParallel::zigzag &&
         kernel_class.form.positions != PositionSource::ragged;
}

/// Whether tokens of several sequences stand at the same places.
bool counts_in_sequences(const KernelClass& kernel_class, const PlanOperand& operand) {
  return operand.has_page_table() && operand.places == TokenPlaces::positions &&
         kernel_class.form.positions == PositionSource::ragged;
}

}  // namespace

Workload::Workload(const Target& target, const KernelClass& kernel_class, std::int64_t tokens, std::size_t guard)
    : tokens_(needs_even(kernel_class) ? tokens + tokens % 2 : tokens) {
  for (const PlanOperand& operand : kernel_class.operands) place(kernel_class, operand, guard);
  moved_bytes_ = static_cast<double>(bytes_per_token(kernel_class)) * static_cast<double>(tokens_);
  args_.tokens = tokens_;
  make_positions(target, kernel_class);
  if (kernel_class.reads_table()) make_table(target, kernel_class);
  for (const PlanOperand& operand : kernel_class.operands) {
    make_rows(target, kernel_class, operand);
    make_stages(target, kernel_class, operand);
    make_statistic(target, operand);
  }
  if (kernel_class.form.counted) {
    args_.token_count = put(target, buffers_, std::vector<std::int32_t>{static_cast<std::int32_t>(tokens_)});
  }
}

void Workload::make_rows(const Target& target, const KernelClass& kernel_class, const PlanOperand& operand) {
  if (operand.rows == CacheRows::none) return;
  const OperandMembers members = members_of(operand.name);
  const auto count = static_cast<std::size_t>(tokens_);
  args_.*members.cache_rows = rows_of(kernel_class, operand);
  if (operand.has_pages()) args_.*members.slots.block_size = kBlockSize;
  if (operand.has_page_table()) return make_page_table(target, kernel_class, operand);
  args_.*members.rows = operand.rows == CacheRows::rows32 || operand.rows == CacheRows::slots32
                            ? static_cast<const void*>(put(target, buffers_, counted_up<std::int32_t>(count)))
                            : put(target, buffers_, counted_up<std::int64_t>(count));
}

// Requests that have all pages each, for tokens that stand at their own numbers. Where places are counted in each
// ragged sequence, each has pages of its own: no place is two tokens'.
void Workload::make_page_table(const Target& target, const KernelClass& kernel_class, const PlanOperand& operand) {
  const bool by_sequence = counts_in_sequences(kernel_class, operand);
  const std::int64_t sequences = by_sequence ? args_.positions.sequences : kMostSequences;
  std::vector<std::int32_t> first = {0};
  std::vector<std::int32_t> owners;  // of tokens
  std::int64_t most = 0;
  for (std::int64_t i = 0; i < sequences; ++i) {
    const std::int64_t begin = by_sequence ? tokens_ * i / sequences : 0;
    const std::int64_t end = by_sequence ? tokens_ * (i + 1) / sequences : tokens_;
    const std::int64_t pages = (end - begin + kBlockSize - 1) / kBlockSize;
    most = std::max(most, pages);
    first.push_back(first.back() + static_cast<std::int32_t>(pages));
    if (by_sequence) owners.insert(owners.end(), static_cast<std::size_t>(end - begin), static_cast<std::int32_t>(i));
  }
  const auto page_of = [&](std::int64_t i, std::int64_t entry) {
    return (by_sequence ? first[static_cast<std::size_t>(i)] : 0) + static_cast<std::int32_t>(entry);
  };
  const bool is_lists = operand.rows == CacheRows::page_lists;
  std::vector<std::int32_t> pages;
  for (std::int64_t i = 0; i < sequences; ++i) {
    const std::int64_t own = first[static_cast<std::size_t>(i + 1)] - first[static_cast<std::size_t>(i)];
    for (std::int64_t entry = 0; entry < (is_lists ? own : most); ++entry) pages.push_back(page_of(i, entry));
  }
  PageTable& table = args_.*members_of(operand.name).table;
  table.requests = sequences;
  table.entries = is_lists ? static_cast<std::int64_t>(pages.size()) : most;
  table.pages = put(target, buffers_, pages);
  if (is_lists) table.first_entries = put(target, buffers_, first);
  const auto count = static_cast<std::size_t>(tokens_);
  if (operand.requests == TokenRequests::ids32) {
    owners.resize(count);
    args_.token_requests = put(target, buffers_, owners);
  }
  if (operand.places == TokenPlaces::ids32) args_.token_places = put(target, buffers_, counted_up<std::int32_t>(count));
  if (operand.places == TokenPlaces::ids64) args_.token_places = put(target, buffers_, counted_up<std::int64_t>(count));
}

void Workload::make_stages(const Target& target, const KernelClass& kernel_class, const PlanOperand& operand) {
  // Any numbers do, as in a table.
  const auto halves = [&](std::size_t count, DType dtype) {
    const std::size_t bytes = count * static_cast<std::size_t>(size_of(dtype));
    return put(target, buffers_, std::vector<std::uint32_t>((bytes + 3) / 4, 0x3f003f00U));
  };
  const OperandMembers members = members_of(operand.name);
  const std::size_t row = std::size_t{operand.heads} * operand.head_dim;
  if (operand.is_normed() && operand.norm.weights != NormWeight::none) {
    const std::size_t weights = operand.norm.weights == NormWeight::heads ? row : operand.head_dim;
    args_.*members.weight = halves(weights, operand.norm.weight);
    if (operand.norm.has_bias) args_.*members.norm_bias = halves(weights, operand.norm.weight);
  }
  if (operand.has(Stage::bias)) args_.*members.bias = halves(row, kernel_class.dtype);
  if (operand.has(Stage::head_scale)) {
    args_.*members.head_scales = put(target, buffers_, std::vector<float>(operand.heads, 1.0F));
  }
}

void Workload::make_statistic(const Target& target, const PlanOperand& operand) {
  if (!operand.is_normed() || !operand.is_given_statistic()) return;
  // As r or as a sum of squares.
  const std::vector<float> ones(static_cast<std::size_t>(tokens_) * operand.statistics(), 1.0F);
  (args_.*members_of(operand.name).statistic).data = put(target, buffers_, ones);
}

std::int64_t Workload::rows_of(const KernelClass& kernel_class, const PlanOperand& operand) const {
  // Each sequence may have a page that is not full.
  if (counts_in_sequences(kernel_class, operand)) {
    return (tokens_ + kBlockSize - 1) / kBlockSize * kBlockSize + kMostSequences * kBlockSize;
  }
  return operand.has_pages() ? (tokens_ + kBlockSize - 1) / kBlockSize * kBlockSize : tokens_;
}

void Workload::place(const KernelClass& kernel_class, const PlanOperand& operand, std::size_t guard) {
  std::size_t row = std::size_t{operand.heads} * operand.head_dim;
  if (operand.group_heads != 0) {
    // As a projection has them, with a k and a v behind each group.
    args_.q_group_stride = std::int64_t{operand.group_heads + 2} * operand.head_dim;
    row = operand.heads / operand.group_heads * static_cast<std::size_t>(args_.q_group_stride);
    args_.q.token_stride = static_cast<std::int64_t>(row);
    if (!operand.in_place()) {
      args_.q_out_group_stride = args_.q_group_stride;
      args_.q_out.token_stride = args_.q.token_stride;
    }
  }
  const auto take = [&](std::size_t bytes) {
    const Extent extent{set_bytes_ + guard, set_bytes_ + guard + bytes};
    set_bytes_ += rounded(bytes) + 2 * guard;
    return extent;
  };
  Placed placed{operand.name, {}, {}, {}, {}};
  placed.in = take(static_cast<std::size_t>(tokens_) * row * static_cast<std::size_t>(size_of(kernel_class.dtype)));
  placed.out = operand.in_place() ? placed.in
                                  : take(static_cast<std::size_t>(rows_of(kernel_class, operand)) * row *
                                         static_cast<std::size_t>(size_of(operand.dtype_out)));
  if (operand.beside == Beside::in_place) written_.push_back(placed.in);
  if (operand.has_store && !operand.is_idle()) written_.push_back(placed.out);
  if (operand.beside == Beside::apart) {
    placed.beside =
        take(static_cast<std::size_t>(tokens_) * row * static_cast<std::size_t>(size_of(operand.dtype_out)));
    written_.push_back(placed.beside);
  }
  if (operand.hands_out_statistic()) {
    placed.statistic = take(static_cast<std::size_t>(tokens_) * operand.statistics() * sizeof(float));
    written_.push_back(placed.statistic);
  }
  placed_.push_back(placed);
}

void Workload::make_positions(const Target& target, const KernelClass& kernel_class) {
  const auto count = static_cast<std::size_t>(tokens_);
  Positions& positions = args_.positions;
  positions.source = kernel_class.form.positions;
  switch (kernel_class.form.positions) {
    case PositionSource::start: break;
    case PositionSource::ids32:
      positions.ids = put(target, buffers_, counted_up<std::int32_t>(count, kernel_class.axes));
      break;
    case PositionSource::ids64:
      positions.ids = put(target, buffers_, counted_up<std::int64_t>(count, kernel_class.axes));
      break;
    case PositionSource::offsets32: positions.ids = put(target, buffers_, std::vector<std::int32_t>{0}); break;
    case PositionSource::offsets64: positions.ids = put(target, buffers_, std::vector<std::int64_t>{0}); break;
    case PositionSource::ragged: {
      positions.sequences = std::min(tokens_, kMostSequences);
      std::vector<std::int32_t> ends;
      for (std::int64_t i = 0; i <= positions.sequences; ++i) {
        ends.push_back(static_cast<std::int32_t>(tokens_ * i / positions.sequences));
      }
      positions.cu_seqlens = put(target, buffers_, ends);
      break;
    }
  }
}

void Workload::make_table(const Target& target, const KernelClass& kernel_class) {
  // Any numbers do: near 1, so that what is rotated often stays finite for long.
  const bool two_tensors = kernel_class.form.angles == AngleSource::half ||
                           kernel_class.form.angles == AngleSource::full ||
                           kernel_class.form.angles == AngleSource::repeated;
  const bool whole_rows =
      kernel_class.form.angles != AngleSource::half && kernel_class.form.angles != AngleSource::radians;
  const std::size_t lanes = whole_rows ? kernel_class.rotary_dim : kernel_class.pairs();
  const std::size_t bytes =
      static_cast<std::size_t>(tokens_) * lanes * static_cast<std::size_t>(size_of(kernel_class.form.table_dtype));
  const std::vector<std::uint32_t> ones((bytes * (two_tensors ? 2 : 1) + 3) / 4, 0x3f003f00U);
  const auto* table = reinterpret_cast<const char*>(put(target, buffers_, ones));
  args_.table.cos = table;
  if (two_tensors) args_.table.sin = table + bytes;
  args_.table.rows = tokens_;
}

RopeArgs Workload::args(char* set) const {
  RopeArgs args = args_;
  for (const Placed& placed : placed_) {
    const OperandMembers members = members_of(placed.name);
    (args.*members.in).data = set + placed.in.begin;
    if (placed.out.begin != placed.in.begin) (args.*members.out).data = set + placed.out.begin;
    if (placed.beside.end != 0) (args.*members.beside).data = set + placed.beside.begin;
    if (placed.statistic.end != 0) {
      (args.*members.statistic_out).data = reinterpret_cast<float*>(set + placed.statistic.begin);
    }
  }
  return args;
}

}  // namespace ropejit::internal
