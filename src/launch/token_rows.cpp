#include "launch/token_rows.hpp"

#include "launch/operand_args.hpp"
#include "launch/stride_arithmetic.hpp"

namespace ropejit::internal {
namespace {

/// A row of bytes for each token, `row` bytes long, `stride` bytes apart. The stride is no less than the row. Without
/// values until they are found: writing zeroes first would take a third of the time of all checks.
struct Rows {
  std::uintptr_t first;
  std::uint64_t row;
  std::uint64_t stride;
  std::uintptr_t end;         // of the last row
  std::int64_t token_stride;  // in elements
};

// size_of without a call into another file, of which a launch would make six.
constexpr std::int64_t bytes_of(DType dtype) noexcept { return dtype == DType::fp32 ? 4 : 2; }

// Beyond these a launch is not a usual one. With fewer than 2^31 tokens nothing overflows.
constexpr std::int64_t kMostStride = 1LL << 28;  // in elements
constexpr std::uint64_t kMostBytes = 1ULL << 47;

/// `batch` sequences of `tokens` tokens each.
inline __attribute__((always_inline)) bool find_rows(const TensorView& view, const PlanOperand& operand,
                                                     std::int64_t element, std::int64_t batch, std::int64_t tokens,
                                                     Rows& rows) noexcept {
  const std::int64_t lanes = static_cast<std::int64_t>(operand.heads) * operand.head_dim;
  const std::int64_t stride = view.token_stride == kContiguous ? lanes : view.token_stride;
  const bool whole_rows = (view.lane_stride == kContiguous || view.lane_stride == 1) &&
                          (view.head_stride == kContiguous || view.head_stride == operand.head_dim);
  const std::int64_t batch_stride = view.batch_stride == kContiguous ? tokens * lanes : view.batch_stride;
  if (view.data == nullptr || !whole_rows || stride < lanes || stride > kMostStride ||
      (batch != 1 && batch_stride != tokens * stride)) {
    return false;
  }
  rows.first = reinterpret_cast<std::uintptr_t>(view.data);
  rows.row = static_cast<std::uint64_t>(lanes * element);
  rows.stride = static_cast<std::uint64_t>(stride * element);
  rows.end = rows.first + (static_cast<std::uint64_t>(batch * tokens) - 1) * rows.stride + rows.row;
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
  Rows apart;          // what is written out of place
  const Rows* out;     // `apart`, or in place `in`
  Rows second;         // what is written beside a cache, apart from what is read
  const Rows* beside;  // `second`, or in place `in`; null: nothing is
  // Of pages, in elements.
  std::int64_t page_stride;
  std::int64_t head_stride;
};

// Of a cache: as many as there may be tokens. Beyond it the general checks say what is wrong.
constexpr std::int64_t kMostCacheRows = (1LL << 31) - 1;

/// Pages in which heads lie within places (NHD) or places within heads (HND), with gaps or without: nothing of one lies
/// within another. `side.apart` is then all that lies between the first page's beginning and the last one's end.
bool find_pages(const TensorView& view, const PlanOperand& operand, const OperandArgs& given, Side& side) noexcept {
  const std::int64_t lanes = operand.head_dim;
  const std::int64_t places = given.slots.block_size;
  const std::int64_t heads = operand.heads;
  if (view.data == nullptr || places < 1 || places > given.cache_rows || places > kMostStride ||
      (view.lane_stride != kContiguous && view.lane_stride != 1)) {
    return false;
  }
  const std::int64_t head = view.head_stride == kContiguous ? lanes : view.head_stride;
  const std::int64_t place = view.token_stride == kContiguous ? heads * lanes : view.token_stride;
  if (head < lanes || place < lanes || head > kMostStride || place > kMostStride) return false;
  const std::int64_t reach_of_heads = (heads - 1) * head + lanes;
  const std::int64_t reach_of_places = (places - 1) * place + lanes;
  if (place < reach_of_heads && head < reach_of_places) return false;
  const std::int64_t reach = reach_of_heads + reach_of_places - lanes;
  const std::int64_t page = view.batch_stride == kContiguous ? places * heads * lanes : view.batch_stride;
  const std::int64_t pages = (given.cache_rows - 1) / places + 1;
  constexpr std::int64_t kMostPage = 1LL << 40;  // in elements
  if (page < reach || page > kMostPage || pages > kMostCacheRows) return false;
  const std::int64_t element = bytes_of(operand.dtype_out);
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow((pages - 1) * element, page, &bytes)) return false;
  side.page_stride = page;
  side.head_stride = head;
  Rows& rows = side.apart;
  rows.first = reinterpret_cast<std::uintptr_t>(view.data);
  rows.row = static_cast<std::uint64_t>(reach * element);
  rows.stride = static_cast<std::uint64_t>(page * element);
  rows.end = rows.first + static_cast<std::uint64_t>(bytes) + rows.row;
  rows.token_stride = place;
  return static_cast<std::uint64_t>(bytes) <= kMostBytes && rows.first % static_cast<std::uintptr_t>(element) == 0;
}

bool find_side(const KernelClass& kernel_class, const PlanOperand& operand, const OperandArgs& given,
               const RopeArgs& args, Side& side) noexcept {
  if ((given.out->data == nullptr) != operand.in_place() ||
      !find_rows(*given.in, operand, bytes_of(kernel_class.dtype), args.batch, args.tokens, side.in)) {
    return false;
  }
  side.out = &side.in;
  side.beside = operand.beside == Beside::in_place ? &side.in : nullptr;
  if ((given.beside != nullptr) != (operand.beside == Beside::apart)) return false;
  if (operand.beside == Beside::apart) {
    if (!find_rows(*given.beside, operand, bytes_of(operand.dtype_out), args.batch, args.tokens, side.second) ||
        !are_apart(side.in, side.second)) {
      return false;
    }
    side.beside = &side.second;
  }
  if (!operand.in_place()) {
    side.out = &side.apart;
    const bool to_cache = operand.rows != CacheRows::none;
    if (to_cache && (given.cache_rows < 1 || given.cache_rows > kMostCacheRows)) return false;
    const std::int64_t batch = to_cache ? 1 : args.batch;
    const std::int64_t rows = to_cache ? given.cache_rows : args.tokens;
    const bool found = operand.has_pages()
                           ? find_pages(*given.out, operand, given, side)
                           : find_rows(*given.out, operand, bytes_of(operand.dtype_out), batch, rows, side.apart);
    if (!found || !are_apart(side.in, side.apart)) return false;
    if (operand.beside == Beside::apart && !are_apart(side.second, side.apart)) return false;
  }
  // The fast kernels of a contiguous form take nothing else; let the general checks send it to the universal one.
  return kernel_class.form.strides != Strides::contiguous ||
         (side.in.stride == side.in.row && (operand.has_pages() || side.out->stride == side.out->row) &&
          (side.beside == nullptr || side.beside->stride == side.beside->row));
}

TensorStrides strides_of(const PlanOperand& operand, const Side& side) noexcept {
  const std::int64_t head = operand.head_dim;
  if (operand.has_pages()) {
    return {0, side.in.token_stride, head, 1, side.page_stride, side.out->token_stride, side.head_stride, 1};
  }
  return {0, side.in.token_stride, head, 1, 0, side.out->token_stride, head, 1};
}

/// Whether what is written beside `side`'s cache meets nothing of the other's.
bool is_beside_apart(const Side& side, const Side& other) noexcept {
  return side.beside == nullptr || (are_apart(*side.beside, *other.out) && are_apart(*side.beside, other.in) &&
                                    (other.beside == nullptr || are_apart(*side.beside, *other.beside)));
}

/// Bits of all that must be a multiple of an access's width.
std::uint64_t alignment_bits(const KernelClass& kernel_class, const PlanOperand& operand, const Rows& rows,
                             std::int64_t element) noexcept {
  if (kernel_class.form.strides == Strides::contiguous) return rows.first;
  return rows.first | rows.stride | static_cast<std::uint64_t>(operand.head_dim * element);
}

/// The same of what an operand writes.
std::uint64_t alignment_bits_of_output(const KernelClass& kernel_class, const PlanOperand& operand,
                                       const Side& side) noexcept {
  const std::int64_t element = bytes_of(operand.dtype_out);
  const std::uint64_t beside =
      side.beside == nullptr ? 0 : alignment_bits(kernel_class, operand, *side.beside, element);
  if (!operand.has_pages()) return beside | alignment_bits(kernel_class, operand, *side.out, element);
  return beside | side.out->first |
         static_cast<std::uint64_t>((side.page_stride | side.out->token_stride | side.head_stride) * element);
}

}  // namespace

bool fill_token_rows(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  if (kernel_class.form.grouped_q || kernel_class.form.k_split) return false;
  const std::int64_t element = bytes_of(kernel_class.dtype);
  Side sides[kMostOperands];
  std::uint64_t in_bits = 0;
  out.aligned.table = kWidestAccess;
  const bool usual = for_each_operand(
      kernel_class, args, [&](std::size_t i, const PlanOperand& operand, const OperandArgs& given) noexcept {
        out.aligned.out[i] = kWidestAccess;
        out.has_work[i] = given.is_given() && !operand.is_idle();
        if (!out.has_work[i]) {
          return (i != 0 || given.is_given()) && given.out->data == nullptr && given.beside == nullptr;
        }
        Side& side = sides[i];
        if (!find_side(kernel_class, operand, given, args, side)) return false;
        for (std::size_t j = 0; j < i; ++j) {
          // Inputs may be one another's; an in-place operand's input is its output.
          const Side& other = sides[j];
          // Where nothing is stored (statistics_only), all are inputs.
          if (out.has_work[j] && operand.has_store &&
              (!are_apart(*other.out, *side.out) || !are_apart(*other.out, side.in) ||
               !are_apart(*side.out, other.in) || !is_beside_apart(side, other) || !is_beside_apart(other, side))) {
            return false;
          }
        }
        set_operand(out.params, i, reinterpret_cast<const void*>(side.in.first),
                    reinterpret_cast<void*>(side.out->first), strides_of(operand, side), given);
        if (operand.beside == Beside::apart) {
          beside_of(kernel_class, out.params, i) = {reinterpret_cast<void*>(side.second.first), 0,
                                                    side.second.token_stride, operand.head_dim, 1};
        }
        in_bits |= alignment_bits(kernel_class, operand, side.in, element);
        out.aligned.out[i] = width_of(alignment_bits_of_output(kernel_class, operand, side));
        return true;
      });
  out.aligned.in = width_of(in_bits);
  return usual;
}

}  // namespace ropejit::internal
