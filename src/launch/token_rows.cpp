#include "launch/token_rows.hpp"

#include "launch/stride_arithmetic.hpp"

namespace ropejit::internal {
namespace {

/// A row of bytes for each token, `row` bytes long, `stride` bytes apart. The stride is no less than the row.
struct Rows {
  std::uintptr_t first = 0;
  std::uint64_t row = 0;
  std::uint64_t stride = 0;
  std::uintptr_t end = 0;         // of the last row
  std::int64_t token_stride = 0;  // in elements
};

// Beyond these a launch is not a usual one. With fewer than 2^31 tokens nothing overflows.
constexpr std::int64_t kMostStride = 1LL << 28;  // in elements
constexpr std::uint64_t kMostBytes = 1ULL << 47;

bool find_rows(const TensorView& view, const PlanOperand& operand, std::int64_t element, const RopeArgs& args,
               std::uint64_t tokens, Rows& rows) noexcept {
  const std::int64_t lanes = static_cast<std::int64_t>(operand.heads) * operand.head_dim;
  const std::int64_t stride = view.token_stride == kContiguous ? lanes : view.token_stride;
  const bool whole_rows = (view.lane_stride == kContiguous || view.lane_stride == 1) &&
                          (view.head_stride == kContiguous || view.head_stride == operand.head_dim);
  const std::int64_t batch_stride = view.batch_stride == kContiguous ? args.tokens * lanes : view.batch_stride;
  if (view.data == nullptr || !whole_rows || stride < lanes || stride > kMostStride ||
      (args.batch != 1 && batch_stride != args.tokens * stride)) {
    return false;
  }
  rows.first = reinterpret_cast<std::uintptr_t>(view.data);
  rows.row = static_cast<std::uint64_t>(lanes * element);
  rows.stride = static_cast<std::uint64_t>(stride * element);
  rows.end = rows.first + (tokens - 1) * rows.stride + rows.row;
  rows.token_stride = stride;
  return rows.end - rows.first <= kMostBytes && rows.first % static_cast<std::uintptr_t>(element) == 0;
}

/// Enough for it, not necessary.
bool are_apart(const Rows& a, const Rows& b) noexcept {
  if (a.end <= b.first || b.end <= a.first) return true;
  if (a.stride != b.stride) return false;
  // Packed: each row of one ends before the next row of the other begins.
  const Rows& low = a.first < b.first ? a : b;
  const Rows& high = a.first < b.first ? b : a;
  return low.first + low.row <= high.first && high.first + high.row <= low.first + low.stride;
}

/// One operand: what it reads and what it writes.
struct Side {
  Rows in;
  Rows out;
};

bool find_side(const KernelClass& kernel_class, const PlanOperand& operand, const TensorView& in, const TensorView& out,
               const RopeArgs& args, std::uint64_t tokens, Side& side) noexcept {
  if ((out.data == nullptr) != operand.in_place() ||
      !find_rows(in, operand, size_of(kernel_class.dtype), args, tokens, side.in)) {
    return false;
  }
  side.out = side.in;
  if (!operand.in_place() &&
      !(find_rows(out, operand, size_of(operand.dtype_out), args, tokens, side.out) && are_apart(side.in, side.out))) {
    return false;
  }
  // The fast kernels of a contiguous form take nothing else; let the general checks send it to the universal one.
  return kernel_class.strides != Strides::contiguous ||
         (side.in.stride == side.in.row && side.out.stride == side.out.row);
}

TensorStrides strides_of(const PlanOperand& operand, const Side& side) noexcept {
  const std::int64_t head = operand.head_dim;
  return {0, side.in.token_stride, head, 1, 0, side.out.token_stride, head, 1};
}

/// Bits of all that must be a multiple of an access's width.
std::uint64_t alignment_bits(const KernelClass& kernel_class, const PlanOperand& operand, const Rows& rows,
                             std::int64_t element) noexcept {
  if (kernel_class.strides == Strides::contiguous) return rows.first;
  return rows.first | rows.stride | static_cast<std::uint64_t>(operand.head_dim * element);
}

}  // namespace

bool fill_token_rows(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  if (kernel_class.k_rows != CacheRows::none) return false;
  const std::int64_t element = size_of(kernel_class.dtype);
  const PlanOperand& q_shape = kernel_class.q;
  const PlanOperand& k_shape = kernel_class.k;
  Side q;
  if (!find_side(kernel_class, q_shape, args.q, args.q_out, args, out.tokens, q)) return false;
  LaunchParams& params = out.params;
  params.q_in = reinterpret_cast<const void*>(q.in.first);
  params.q_out = reinterpret_cast<void*>(q.out.first);
  params.q_strides = strides_of(q_shape, q);
  std::uint64_t in_bits = alignment_bits(kernel_class, q_shape, q.in, element);
  out.aligned = {width_of(in_bits), width_of(alignment_bits(kernel_class, q_shape, q.out, size_of(q_shape.dtype_out))),
                 kWidestAccess, kWidestAccess};
  if (args.k.data == nullptr) return args.k_out.data == nullptr;
  Side k;
  if (k_shape.heads == 0 || !find_side(kernel_class, k_shape, args.k, args.k_out, args, out.tokens, k)) return false;
  // Inputs may be one another's; an in-place operand's input is its output.
  if (!are_apart(q.out, k.out) || !are_apart(q.out, k.in) || !are_apart(k.out, q.in)) return false;
  params.k_in = reinterpret_cast<const void*>(k.in.first);
  params.k_out = reinterpret_cast<void*>(k.out.first);
  params.k_strides = strides_of(k_shape, k);
  in_bits |= alignment_bits(kernel_class, k_shape, k.in, element);
  out.aligned.in = width_of(in_bits);
  out.aligned.k_out = width_of(alignment_bits(kernel_class, k_shape, k.out, size_of(k_shape.dtype_out)));
  return true;
}

}  // namespace ropejit::internal
