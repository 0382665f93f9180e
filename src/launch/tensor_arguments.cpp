#include "launch/tensor_arguments.hpp"

#include "launch/stride_arithmetic.hpp"
#include "launch/strided_box.hpp"

namespace ropejit::internal {
namespace {

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

void fill(TensorStrides& strides, const Side& side, bool to_cache) noexcept {
  const std::int64_t tokens = side.shape.tokens;
  const bool alone = side.shape.batch == 1;
  strides = {alone ? 0 : sequence_stride(side.in.batch_stride, side.in.token_stride, tokens), side.in.token_stride,
             side.in.head_stride, side.in.lane_stride,
             // A row of the cache is not found by its token.
             alone || to_cache ? 0 : sequence_stride(side.out.batch_stride, side.out.token_stride, tokens),
             side.out.token_stride, side.out.head_stride, side.out.lane_stride};
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
  return {width_of(in), width_of(q_out), width_of(k_out), kWidestAccess};
}

}  // namespace

const char* fill_tensors(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  if (args.q.data == nullptr) return "q.data: found null, allowed: a device pointer";
  Side q;
  Side k;
  if (const char* why = check_side(kernel_class, kernel_class.q, args.q, args.q_out, args, kQ, q)) return why;
  if (args.k.data != nullptr) {
    if (kernel_class.k.heads == 0) return "k.data: found a pointer, allowed: null (the spec has no k)";
    if (const char* why = check_side(kernel_class, kernel_class.k, args.k, args.k_out, args, kK, k)) return why;
  } else if (args.k_out.data != nullptr) {
    return "k_out.data: found a pointer without k.data, allowed: both or neither";
  }
  if (const char* why = check_overlaps(kernel_class, q, k)) return why;
  LaunchParams& params = out.params;
  params.q_in = q.in.data;
  params.q_out = const_cast<char*>(q.out.data);
  fill(params.q_strides, q, false);
  if (k.present) {
    params.k_in = k.in.data;
    params.k_out = const_cast<char*>(k.out.data);
    fill(params.k_strides, k, kernel_class.k_rows != CacheRows::none);
  }
  out.aligned = alignment_of(kernel_class, q, k);
  return nullptr;
}

}  // namespace ropejit::internal
