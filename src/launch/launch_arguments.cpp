#include "launch/launch_arguments.hpp"

#include "codegen/work.hpp"
#include "launch/operand_args.hpp"
#include "launch/page_table_arguments.hpp"
#include "launch/stage_arguments.hpp"
#include "launch/statistic_arguments.hpp"
#include "launch/stride_arithmetic.hpp"
#include "launch/tensor_arguments.hpp"
#include "launch/token_rows.hpp"

namespace ropejit::internal {
namespace {

constexpr std::int64_t kMaxTokens = (1LL << 31) - 1;
constexpr std::int64_t kMaxRanks = 65536;

LaunchStatus refuse(const char* reason) noexcept { return {ErrorCode::invalid_argument, 0, reason}; }

/// LaunchParams::plain.
bool is_plain(const KernelClass& kernel_class, const RopeArgs& args, const LaunchArguments& arguments) noexcept {
  const StoreParams& params = arguments.params;
  const bool ids = args.positions.source == PositionSource::ids32 || args.positions.source == PositionSource::ids64;
  if (ids && params.position_token_stride != 1) return false;
  if (args.batch == 1) return true;
  std::int64_t apart = params.position_sequence_stride | params.table_batch_stride;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    if (!arguments.has_work[i]) continue;
    const TensorStrides& strides = strides_of(params, i);
    apart |= strides.in_sequence;
    // Of pages it is the stride between them.
    if (!kernel_class.operands[i].has_pages()) apart |= strides.out_sequence;
    if (kernel_class.operands[i].beside == Beside::apart) apart |= beside_of(kernel_class, params, i).sequence;
    // A token's sequence is looked up.
    if (kernel_class.operands[i].has_page_table()) return false;
  }
  return ids && apart == 0;
}

const char* fill_ragged(const RopeArgs& args, LaunchParams& params) noexcept {
  const Positions& positions = args.positions;
  if (args.batch != 1) return "batch: found other than 1, allowed with ragged sequences: 1";
  if (positions.cu_seqlens == nullptr) return "positions.cu_seqlens: found null, allowed: a device pointer";
  if (positions.sequences < 1 || positions.sequences > kMaxTokens) {
    return "positions.sequences: found less than 1 or more than 2147483647, allowed: the number of sequences";
  }
  const auto addresses =
      reinterpret_cast<std::uintptr_t>(positions.cu_seqlens) | reinterpret_cast<std::uintptr_t>(positions.ids);
  if (addresses % 4 != 0) return "positions.cu_seqlens: found a pointer that is not aligned to its element";
  params.cu_seqlens = positions.cu_seqlens;
  params.ragged_sequences = static_cast<unsigned>(positions.sequences);
  return nullptr;
}

const char* fill_ranks(const KernelClass& kernel_class, const RopeArgs& args, LaunchParams& params) noexcept {
  const Positions& positions = args.positions;
  if (positions.ranks < 1 || positions.ranks > kMaxRanks || positions.rank < 0 || positions.rank >= positions.ranks) {
    return "positions.rank: found outside 0 to ranks - 1, allowed: that, of 1 to 65536 ranks";
  }
  if (kernel_class.form.context_parallel == ContextParallel::zigzag && args.tokens % 2 != 0 &&
      positions.source != PositionSource::ragged) {
    return "tokens: found an odd number, allowed with zigzag: two chunks of equal length";
  }
  params.ranks = static_cast<unsigned>(positions.ranks);
  params.rank = static_cast<unsigned>(positions.rank);
  return nullptr;
}

const char* fill_positions(const KernelClass& kernel_class, const RopeArgs& args, LaunchParams& params) noexcept {
  const Positions& positions = args.positions;
  if (positions.source != kernel_class.form.positions) return "positions: not of the kind the form was prepared for";
  params.position_ids = positions.ids;
  params.first_position = positions.first;
  const bool offsets = positions.source == PositionSource::offsets32 || positions.source == PositionSource::offsets64;
  const std::int64_t batch_stride = stride_or(positions.batch_stride, offsets ? 1 : args.tokens);
  const std::int64_t token_stride = offsets ? 0 : stride_or(positions.token_stride, 1);
  if (kernel_class.form.context_parallel != ContextParallel::none) {
    if (const char* why = fill_ranks(kernel_class, args, params)) return why;
  }
  if (positions.source == PositionSource::start) return nullptr;
  if (positions.source == PositionSource::ragged) return fill_ragged(args, params);
  if (positions.ids == nullptr) return "positions.ids: found null, allowed: a device pointer";
  const bool narrow = positions.source == PositionSource::ids32 || positions.source == PositionSource::offsets32;
  const std::uintptr_t bytes = narrow ? 4 : 8;
  if (reinterpret_cast<std::uintptr_t>(positions.ids) % bytes != 0) {
    return "positions.ids: found a pointer that is not aligned to its element";
  }
  if (kernel_class.axes > 1) {
    params.position_axis_stride = stride_or(positions.axis_stride, args.batch * args.tokens);
  }
  if (reaches_too_far(args.batch, batch_stride) || reaches_too_far(args.tokens, token_stride) ||
      reaches_too_far(kernel_class.axes, params.position_axis_stride)) {
    return "positions: found a stride that reaches beyond any address space";
  }
  params.position_token_stride = token_stride;
  params.position_sequence_stride = sequence_stride(batch_stride, token_stride, args.tokens);
  return nullptr;
}

/// Elements between rows that have no gaps.
std::int64_t table_row(const KernelClass& kernel_class) noexcept {
  switch (kernel_class.form.angles) {
    case AngleSource::half:
    case AngleSource::radians: return kernel_class.pairs();
    default: return kernel_class.rotary_dim;
  }
}

const char* fill_table(const KernelClass& kernel_class, const RopeArgs& args, LaunchParams& params,
                       std::uint32_t& vector_bytes) noexcept {
  if (!kernel_class.reads_table()) return nullptr;
  const AngleTable& table = args.table;
  const std::int64_t element = size_of(kernel_class.form.table_dtype);
  const bool two_tensors = kernel_class.form.angles == AngleSource::half ||
                           kernel_class.form.angles == AngleSource::full ||
                           kernel_class.form.angles == AngleSource::repeated;
  if (table.cos == nullptr) return "table.cos: found null, allowed: a device pointer";
  if (two_tensors && table.sin == nullptr) return "table.sin: found null, allowed: a device pointer";
  if (!two_tensors && table.sin != nullptr) return "table.sin: found a pointer, allowed: null (table.cos has both)";
  if (table.rows <= 0) return "table.rows: found less than 1, allowed: the number of positions that have a row";
  params.table_cos = table.cos;
  params.table_sin = table.sin;
  params.table_rows = table.rows;
  params.table_row_stride = stride_or(table.row_stride, table_row(kernel_class));
  params.table_batch_stride = table.batch_stride;
  if (kernel_class.form.angles == AngleSource::cos_sin) {
    params.table_sin = static_cast<const char*>(table.cos) + kernel_class.pairs() * element;
  }
  if (reaches_too_far(table.rows, params.table_row_stride) || reaches_too_far(args.batch, table.batch_stride)) {
    return "table: found a stride that reaches beyond any address space";
  }
  const auto addresses =
      reinterpret_cast<std::uintptr_t>(params.table_cos) | reinterpret_cast<std::uintptr_t>(params.table_sin);
  if (addresses % static_cast<std::uintptr_t>(element) != 0) {
    return "table: found a pointer that is not aligned to its element";
  }
  vector_bytes = width_of(static_cast<std::uint64_t>(params.table_row_stride * element) |
                          static_cast<std::uint64_t>(params.table_batch_stride * element) | addresses);
  return nullptr;
}

bool is_aligned(const void* pointer, std::uintptr_t bytes) noexcept {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

/// The words of one operand's refusals.
struct SlotWords {
  const char* no_slots;
  const char* count;
  const char* stride;
  const char* no_list;
};
constexpr SlotWords kSlotWords[kMostOperands] = {
    {},  // q has no rows, nor has the gate
    {"k_block_size, k_slot_count or k_slot_stride: found a number, allowed with other k_rows than slots and pages: 0, "
     "kEveryToken and 1",
     "k_slot_count: found less than 0 or more than batch * tokens, allowed: that, or kEveryToken",
     "k_slot_stride: found less than 0 or one that reaches beyond any address space, allowed: elements from a token's "
     "slot to the next",
     "k_slot_stride: found other than 1, allowed with k_rows of page_lists or block_table: 1"},
    {"v_block_size, v_slot_count or v_slot_stride: found a number, allowed with other v_rows than slots and pages: 0, "
     "kEveryToken and 1",
     "v_slot_count: found less than 0 or more than batch * tokens, allowed: that, or kEveryToken",
     "v_slot_stride: found less than 0 or one that reaches beyond any address space, allowed: elements from a token's "
     "slot to the next",
     "v_slot_stride: found other than 1, allowed with v_rows of page_lists or block_table: 1"},
};

/// The pages of operands that have slots. Their lists and capacities are checked where those of rows are.
const char* fill_pages(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  for (std::size_t name = 1; name < kMostOperands; ++name) {
    const SlotArgs given = args_of(args, static_cast<OperandName>(name)).slots;
    const SlotWords& words = kSlotWords[name];
    std::size_t i = 0;
    while (i < kernel_class.operands.size() && kernel_class.operands[i].name != static_cast<OperandName>(name)) ++i;
    if (i == kernel_class.operands.size() || !kernel_class.operands[i].has_pages()) {
      if (given != SlotArgs{}) return words.no_slots;
      continue;
    }
    if (!out.has_work[i]) continue;
    if (given.count < kEveryToken || given.count > out.tokens) return words.count;
    if (given.stride < 0 || reaches_too_far(out.tokens, given.stride)) return words.stride;
    if (kernel_class.operands[i].has_page_table() && given.stride != 1) return words.no_list;
    OperandLines& lines = out.params.lines[i];
    lines.block_size = long_divisor(given.block_size);
    lines.slot_count = given.count == kEveryToken ? out.tokens : given.count;
    lines.slot_stride = given.stride;
  }
  return nullptr;
}

const char* check_cache_rows(const KernelClass& kernel_class, const RopeArgs& args,
                             const LaunchArguments& out) noexcept {
  if (kernel_class.form.k_rows == CacheRows::none && kernel_class.form.v_rows == CacheRows::none) return nullptr;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const PlanOperand& operand = kernel_class.operands[i];
    if (operand.rows == CacheRows::none || operand.has_page_table() || !out.has_work[i]) continue;
    const bool of_k = operand.name == OperandName::k;
    const void* const rows = args_of(args, operand.name).rows;
    if (rows == nullptr && operand.has_pages() && args_of(args, operand.name).slots.count == 0) continue;
    if (rows == nullptr) {
      return of_k ? "k_rows: found null, allowed: a device pointer" : "v_rows: found null, allowed: a device pointer";
    }
    const bool narrow = operand.rows == CacheRows::rows32 || operand.rows == CacheRows::slots32;
    if (!is_aligned(rows, narrow ? 4 : 8)) {
      return of_k ? "k_rows: found a pointer that is not aligned to its element"
                  : "v_rows: found a pointer that is not aligned to its element";
    }
  }
  return nullptr;
}

/// What a prologue's blocks read of each operand, on its lines.
void fill_lines(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    if (!out.has_work[i]) continue;
    OperandLines& lines = out.params.lines[i];
    const TensorStrides& strides = strides_of(out.params, i);
    lines.out = output_of(out.params, i);
    lines.in = input_of(out.params, i);
    lines.in_token = strides.in_token;
    lines.in_head = strides.in_head;
    lines.out_token = strides.out_token;
    lines.out_head = strides.out_head;
    if (!kernel_class.operands[i].has_pages()) continue;
    const OperandArgs given = args_of(args, kernel_class.operands[i].name);
    lines.slots = given.rows;
    lines.capacity = given.cache_rows;
    lines.page_stride = strides.out_sequence;
  }
}

/// What classes without other stages than the rotation, and without slots, do not take.
const char* refuse_prologue(const RopeArgs& args) noexcept {
  if (brings_stages(args)) return refuse_stages(args);
  for (std::size_t name = 1; name < kMostOperands; ++name) {
    if (args_of(args, static_cast<OperandName>(name)).slots != SlotArgs{}) return kSlotWords[name].no_slots;
  }
  if (brings_page_tables(args)) return refuse_page_tables(args);
  return brings_statistics(args) ? refuse_statistics(args) : nullptr;
}

/// The strides of q's groups and of k's, which tensors of most forms do not have.
const char* check_groups(const KernelClass& kernel_class, const RopeArgs& args) noexcept {
  const LaunchForm& form = kernel_class.form;
  if (args.k_split_stride != kContiguous && !form.k_split) {
    return "k_split_stride: found a number, allowed: kContiguous (the form has no k_split)";
  }
  if (args.q_group_stride != kContiguous && !form.grouped_q) {
    return "q_group_stride: found a number, allowed: kContiguous (the form has no grouped_q)";
  }
  if (args.q_out_group_stride == kContiguous) return nullptr;
  if (!form.grouped_q) return "q_out_group_stride: found a number, allowed: kContiguous (the form has no grouped_q)";
  if (!kernel_class.operands.front().in_place()) return nullptr;
  return "q_out_group_stride: found a number, allowed in place: kContiguous (q itself is written)";
}

const char* fill_device_words(const KernelClass& kernel_class, const RopeArgs& args, LaunchParams& params) noexcept {
  if (kernel_class.form.counted && args.token_count == nullptr)
    return "token_count: found null, allowed: a device pointer";
  if (!is_aligned(args.token_count, 4)) return "token_count: found a pointer that is not aligned to its element";
  if (!is_aligned(args.flags, 4)) return "flags: found a pointer that is not aligned to its element";
  params.token_count = args.token_count;
  params.flags = args.flags;
  return nullptr;
}

}  // namespace

LaunchStatus check_arguments(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  if (args.batch < 0 || args.tokens < 0) return refuse("batch and tokens: found a negative number, allowed: 0 or more");
  if (args.batch > kMaxTokens || args.tokens > kMaxTokens || args.batch * args.tokens > kMaxTokens) {
    return refuse("batch * tokens: found more than 2147483647, allowed: up to that");
  }
  out.tokens = static_cast<std::uint32_t>(args.batch * args.tokens);
  if (out.tokens == 0) return {};
  LaunchParams& params = out.params;
  if (const char* why = check_groups(kernel_class, args)) return refuse(why);
  if (!fill_token_rows(kernel_class, args, out)) {
    if (const char* why = fill_tensors(kernel_class, args, out)) return refuse(why);
  }
  if (const char* why = fill_positions(kernel_class, args, params)) return refuse(why);
  if (const char* why = fill_table(kernel_class, args, params, out.aligned.table)) return refuse(why);
  if (const char* why = check_cache_rows(kernel_class, args, out)) return refuse(why);
  out.is_prologue = kernel_class.is_prologue();
  if (out.is_prologue) {
    if (const char* why = fill_pages(kernel_class, args, out)) return refuse(why);
    if (const char* why = fill_page_tables(kernel_class, args, out)) return refuse(why);
    if (const char* why = fill_stages(kernel_class, args, out)) return refuse(why);
    if (const char* why = fill_statistics(kernel_class, args, out)) return refuse(why);
    fill_lines(kernel_class, args, out);
  } else {
    if (const char* why = refuse_prologue(args)) return refuse(why);
    out.aligned.weight = width_of(0);  // none is read
  }
  if (const char* why = fill_device_words(kernel_class, args, params)) return refuse(why);
  params.tokens = out.tokens;
  params.plain = is_plain(kernel_class, args, out) ? 1 : 0;
  params.sequence.divisor = static_cast<std::uint32_t>(args.tokens);
  if (params.plain == 0) params.sequence = fast_divisor(params.sequence.divisor);
  return {};
}

}  // namespace ropejit::internal
