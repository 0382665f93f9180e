#include "service/launch_arguments.hpp"

#include <bit>

#include "codegen/work.hpp"
#include "service/strided_box.hpp"

namespace ropejit::internal {
namespace {

constexpr std::int64_t kMaxTokens = (1LL << 31) - 1;
constexpr std::int64_t kMaxRanks = 65536;
// Elements between the first and the last of a dimension: beyond any address space, and small enough that sums of
// four, in bytes, do not overflow.
constexpr std::int64_t kMaxReach = 1LL << 56;

LaunchStatus refuse(const char* reason) noexcept { return {ErrorCode::invalid_argument, 0, reason}; }

/// A TensorView with every stride explicit.
struct Tensor {
  const char* data = nullptr;
  std::int64_t batch_stride = 0;
  std::int64_t token_stride = 0;
  std::int64_t head_stride = 0;
  std::int64_t lane_stride = 0;
};

struct Shape {
  std::int64_t batch;
  std::int64_t tokens;
  std::int64_t heads;
  std::int64_t head_dim;
  std::int64_t element;  // bytes
};

std::int64_t stride_or(std::int64_t stride, std::int64_t contiguous) noexcept {
  return stride == kContiguous ? contiguous : stride;
}

bool reaches_too_far(std::int64_t count, std::int64_t stride) noexcept {
  std::int64_t reach = 0;
  return __builtin_mul_overflow(count, stride, &reach) || reach > kMaxReach || reach < -kMaxReach;
}

bool resolve(const TensorView& view, const Shape& shape, Tensor& tensor) noexcept {
  tensor.data = static_cast<const char*>(view.data);
  tensor.lane_stride = stride_or(view.lane_stride, 1);
  tensor.head_stride = stride_or(view.head_stride, shape.head_dim);
  tensor.token_stride = stride_or(view.token_stride, shape.heads * shape.head_dim);
  tensor.batch_stride = stride_or(view.batch_stride, shape.tokens * shape.heads * shape.head_dim);
  return !reaches_too_far(shape.batch, tensor.batch_stride) && !reaches_too_far(shape.tokens, tensor.token_stride) &&
         !reaches_too_far(shape.heads, tensor.head_stride) && !reaches_too_far(shape.head_dim, tensor.lane_stride);
}

/// Strides of dimensions of one element do not matter.
bool is_contiguous(const Tensor& tensor, const Shape& shape) noexcept {
  const std::int64_t row = shape.heads * shape.head_dim;
  return tensor.lane_stride == 1 && (shape.heads == 1 || tensor.head_stride == shape.head_dim) &&
         (shape.tokens == 1 || tensor.token_stride == row) &&
         (shape.batch == 1 || tensor.batch_stride == shape.tokens * row);
}

/// OR of all that must be a multiple of the access width, in bytes.
std::uint64_t alignment_bits(const Tensor& tensor, const Shape& shape) noexcept {
  const std::int64_t element = shape.element;
  std::uint64_t bits = reinterpret_cast<std::uintptr_t>(tensor.data);
  if (shape.batch > 1) bits |= static_cast<std::uint64_t>(tensor.batch_stride * element);
  if (shape.tokens > 1) bits |= static_cast<std::uint64_t>(tensor.token_stride * element);
  if (shape.heads > 1) bits |= static_cast<std::uint64_t>(tensor.head_stride * element);
  return bits;
}

/// The bytes that a launch touches: in place the rotating lanes, else whole rows.
StridedBox box_of(const Tensor& tensor, const Shape& shape, std::int64_t first_lane, std::int64_t lanes) noexcept {
  const std::int64_t element = shape.element;
  StridedBox box;
  box.base = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(tensor.data)) +
             first_lane * tensor.lane_stride * element;
  box.count = {shape.batch, shape.tokens, shape.heads, lanes};
  box.stride = {tensor.batch_stride * element, tensor.token_stride * element, tensor.head_stride * element,
                tensor.lane_stride * element};
  box.width = element;
  return box;
}

/// One operand, checked: what it reads and what it writes.
struct Side {
  bool present = false;
  Shape shape{};
  Shape out_shape{};  // with k_rows that of the cache
  Tensor in;
  Tensor out;
  bool contiguous = false;
  StridedBox reads;
  StridedBox writes;
};

/// The words of one operand's refusals.
struct Words {
  const char* out_given;
  const char* out_missing;
  const char* unaligned;
  const char* too_far;
  const char* repeats;
  const char* aliases;
};
constexpr Words kQ = {
    "q_out: found a pointer, allowed in place: none (q itself is written)",
    "q_out: found null, allowed: a device pointer",
    "q or q_out: found a pointer that is not aligned to its element",
    "q or q_out: found a stride that reaches beyond any address space",
    "q_out (q in place): elements overlap, allowed: strides under which every element is distinct",
    "q_out: overlaps an input, allowed: separate memory (the in_place form writes q itself)",
};
constexpr Words kK = {
    "k_out: found a pointer, allowed in place: none (k itself is written)",
    "k_out: found null, allowed: a device pointer",
    "k or k_out: found a pointer that is not aligned to its element",
    "k or k_out: found a stride that reaches beyond any address space",
    "k_out (k in place): elements overlap, allowed: strides under which every element is distinct",
    "k_out: overlaps an input, allowed: separate memory (the in_place form writes k itself)",
};

const char* check_side(const KernelClass& kernel_class, const PlanOperand& operand, const TensorView& in,
                       const TensorView& out, const RopeArgs& args, const Words& words, Side& side) noexcept {
  const bool in_place = operand.in_place();
  const bool to_cache = kernel_class.k_rows != CacheRows::none && &operand == &kernel_class.k;
  if (to_cache && (args.k_cache_rows < 1 || args.k_cache_rows > kMaxReach / (operand.heads * operand.head_dim))) {
    return "k_cache_rows: found less than 1 or more than any memory holds, allowed: the rows of k_out";
  }
  side.present = true;
  side.shape = {args.batch, args.tokens, operand.heads, operand.head_dim, size_of(kernel_class.dtype)};
  side.out_shape = side.shape;
  side.out_shape.element = size_of(operand.dtype_out);
  if (to_cache) {
    side.out_shape.batch = 1;
    side.out_shape.tokens = args.k_cache_rows;
  }
  if (in_place && out.data != nullptr) return words.out_given;
  if (!in_place && out.data == nullptr) return words.out_missing;
  if (!resolve(in, side.shape, side.in)) return words.too_far;
  side.out = side.in;
  if (!in_place && !resolve(out, side.out_shape, side.out)) return words.too_far;
  if (reinterpret_cast<std::uintptr_t>(side.in.data) % static_cast<std::uintptr_t>(side.shape.element) != 0 ||
      reinterpret_cast<std::uintptr_t>(side.out.data) % static_cast<std::uintptr_t>(side.out_shape.element) != 0) {
    return words.unaligned;
  }
  const std::int64_t first = in_place ? operand.first_lane : 0;
  const std::int64_t lanes = in_place ? kernel_class.rotary_dim : operand.head_dim;
  side.reads = box_of(side.in, side.shape, first, lanes);
  side.writes = in_place ? side.reads : box_of(side.out, side.out_shape, first, lanes);
  const bool out_contiguous = is_contiguous(side.out, side.out_shape);
  if (!out_contiguous && !is_injective(side.writes)) return words.repeats;
  side.contiguous = out_contiguous && (in_place || is_contiguous(side.in, side.shape));
  return nullptr;
}

void fill(TensorParams& params, TensorStrides& strides, const Side& side) noexcept {
  params = {side.in.data, const_cast<char*>(side.out.data)};
  strides = {side.in.batch_stride,  side.in.token_stride,  side.in.head_stride,  side.in.lane_stride,
             side.out.batch_stride, side.out.token_stride, side.out.head_stride, side.out.lane_stride};
}

const char* check_overlaps(const KernelClass& kernel_class, const Side& q, const Side& k) noexcept {
  const bool q_in_place = kernel_class.q.in_place();
  const bool k_in_place = kernel_class.k.in_place();
  const bool to_cache = kernel_class.k_rows != CacheRows::none;
  if (k.present && !are_disjoint(q.writes, k.writes)) {
    if (k_in_place) return "q and k: overlap, allowed in place: tensors that share no rotating lane";
    return q_in_place ? "q and k_out: overlap, allowed: a cache in separate memory"
                      : "q_out and k_out: overlap, allowed: separate memory";
  }
  if (!q_in_place && !are_disjoint(q.writes, q.reads)) return kQ.aliases;
  if (!k.present || k_in_place) return nullptr;
  if (!are_disjoint(q.writes, k.reads)) {
    return q_in_place ? "q and k: overlap, allowed with k_rows: no rotating lane of q in k" : kQ.aliases;
  }
  if (are_disjoint(k.writes, k.reads) && are_disjoint(k.writes, q.reads)) return nullptr;
  return to_cache ? "k_out: overlaps an input, allowed: a cache in separate memory" : kK.aliases;
}

std::uint32_t width_of(std::uint64_t bits) noexcept { return 1U << std::countr_zero(bits | 16U); }

/// What the tensors are aligned to; all 0 where the form's fast kernels cannot serve them.
AccessWidths alignment_of(const KernelClass& kernel_class, const Side& q, const Side& k) noexcept {
  const bool contiguous = kernel_class.strides == Strides::contiguous;
  std::uint64_t in = 0;
  std::uint64_t q_out = 0;
  std::uint64_t k_out = 0;
  const auto add = [&](const Side& side, std::uint64_t& out) {
    if (!side.present) return true;
    if (contiguous) {
      in |= reinterpret_cast<std::uintptr_t>(side.in.data);
      out |= reinterpret_cast<std::uintptr_t>(side.out.data);
      return side.contiguous;
    }
    in |= alignment_bits(side.in, side.shape);
    out |= alignment_bits(side.out, side.out_shape);
    return side.in.lane_stride == 1 && side.out.lane_stride == 1;
  };
  if (!add(q, q_out) || !add(k, k_out)) return {};
  return {width_of(in), width_of(q_out), width_of(k_out), 16};
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
  if (kernel_class.context_parallel == ContextParallel::zigzag && args.tokens % 2 != 0 &&
      positions.source != PositionSource::ragged) {
    return "tokens: found an odd number, allowed with zigzag: two chunks of equal length";
  }
  params.ranks = static_cast<unsigned>(positions.ranks);
  params.rank = static_cast<unsigned>(positions.rank);
  return nullptr;
}

const char* fill_positions(const KernelClass& kernel_class, const RopeArgs& args, LaunchParams& params) noexcept {
  const Positions& positions = args.positions;
  if (positions.source != kernel_class.positions) return "positions: not of the kind the form was prepared for";
  params.position_ids = positions.ids;
  params.first_position = positions.first;
  const bool offsets = positions.source == PositionSource::offsets32 || positions.source == PositionSource::offsets64;
  params.position_batch_stride = stride_or(positions.batch_stride, offsets ? 1 : args.tokens);
  params.position_token_stride = stride_or(positions.token_stride, 1);
  if (kernel_class.context_parallel != ContextParallel::none) {
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
  if (reaches_too_far(args.batch, params.position_batch_stride) ||
      reaches_too_far(args.tokens, params.position_token_stride) ||
      reaches_too_far(kernel_class.axes, params.position_axis_stride)) {
    return "positions: found a stride that reaches beyond any address space";
  }
  return nullptr;
}

/// Elements between rows that have no gaps.
std::int64_t table_row(const KernelClass& kernel_class) noexcept {
  switch (kernel_class.angles) {
    case AngleSource::half:
    case AngleSource::radians: return kernel_class.pairs();
    default: return kernel_class.rotary_dim;
  }
}

const char* fill_table(const KernelClass& kernel_class, const RopeArgs& args, LaunchParams& params,
                       std::uint32_t& vector_bytes) noexcept {
  if (!kernel_class.reads_table()) return nullptr;
  const AngleTable& table = args.table;
  const std::int64_t element = size_of(kernel_class.table_dtype);
  const bool two_tensors = kernel_class.angles == AngleSource::half || kernel_class.angles == AngleSource::full ||
                           kernel_class.angles == AngleSource::repeated;
  if (table.cos == nullptr) return "table.cos: found null, allowed: a device pointer";
  if (two_tensors && table.sin == nullptr) return "table.sin: found null, allowed: a device pointer";
  if (!two_tensors && table.sin != nullptr) return "table.sin: found a pointer, allowed: null (table.cos has both)";
  if (table.rows <= 0) return "table.rows: found less than 1, allowed: the number of positions that have a row";
  params.table_cos = table.cos;
  params.table_sin = table.sin;
  params.table_rows = table.rows;
  params.table_row_stride = stride_or(table.row_stride, table_row(kernel_class));
  params.table_batch_stride = table.batch_stride;
  if (kernel_class.angles == AngleSource::cos_sin) {
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

const char* fill_cache_rows(const KernelClass& kernel_class, const RopeArgs& args, LaunchParams& params) noexcept {
  if (kernel_class.k_rows == CacheRows::none || args.k.data == nullptr) return nullptr;
  if (args.k_rows == nullptr) return "k_rows: found null, allowed: a device pointer";
  if (!is_aligned(args.k_rows, kernel_class.k_rows == CacheRows::rows32 ? 4 : 8)) {
    return "k_rows: found a pointer that is not aligned to its element";
  }
  params.k_rows = args.k_rows;
  params.k_cache_rows = args.k_cache_rows;
  return nullptr;
}

const char* fill_device_words(const KernelClass& kernel_class, const RopeArgs& args, LaunchParams& params) noexcept {
  if (kernel_class.counted && args.token_count == nullptr) return "token_count: found null, allowed: a device pointer";
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
  if (args.q.data == nullptr) return refuse("q.data: found null, allowed: a device pointer");
  Side q;
  Side k;
  if (const char* why = check_side(kernel_class, kernel_class.q, args.q, args.q_out, args, kQ, q)) return refuse(why);
  if (args.k.data != nullptr) {
    if (kernel_class.k.heads == 0) return refuse("k.data: found a pointer, allowed: null (the spec has no k)");
    if (const char* why = check_side(kernel_class, kernel_class.k, args.k, args.k_out, args, kK, k)) return refuse(why);
  } else if (args.k_out.data != nullptr) {
    return refuse("k_out.data: found a pointer without k.data, allowed: both or neither");
  }
  if (const char* why = check_overlaps(kernel_class, q, k)) return refuse(why);
  LaunchParams& params = out.params;
  if (const char* why = fill_positions(kernel_class, args, params)) return refuse(why);
  out.aligned = alignment_of(kernel_class, q, k);
  if (const char* why = fill_table(kernel_class, args, params, out.aligned.table)) return refuse(why);
  if (const char* why = fill_cache_rows(kernel_class, args, params)) return refuse(why);
  if (const char* why = fill_device_words(kernel_class, args, params)) return refuse(why);
  fill(params.q, params.q_strides, q);
  if (k.present) fill(params.k, params.k_strides, k);
  params.tokens = out.tokens;
  params.sequence = fast_divisor(static_cast<std::uint32_t>(args.tokens));
  return {};
}

}  // namespace ropejit::internal
