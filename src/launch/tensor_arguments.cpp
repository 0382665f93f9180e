#include "launch/tensor_arguments.hpp"

#include <array>

#include "launch/operand_args.hpp"
#include "launch/operand_words.hpp"
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
  std::int64_t group_stride = 0;  // where heads lie in groups
  std::int64_t split_stride = 0;  // where lanes do
};

struct Shape {
  std::int64_t batch;
  std::int64_t tokens;
  std::int64_t heads;
  std::int64_t head_dim;
  std::int64_t element;          // bytes
  std::int64_t group_heads = 0;  // heads of a group; 0: there are none
  std::int64_t split_lanes = 0;  // lanes of a group; 0: there are none
};

/// `group_stride` is read where the shape has groups.
bool resolve(const TensorView& view, std::int64_t group_stride, const Shape& shape, Tensor& tensor) noexcept {
  tensor.data = static_cast<const char*>(view.data);
  tensor.lane_stride = stride_or(view.lane_stride, 1);
  tensor.head_stride = stride_or(view.head_stride, shape.head_dim);
  tensor.token_stride = stride_or(view.token_stride, shape.heads * shape.head_dim);
  tensor.batch_stride = stride_or(view.batch_stride, shape.tokens * shape.heads * shape.head_dim);
  if (reaches_too_far(shape.batch, tensor.batch_stride) || reaches_too_far(shape.tokens, tensor.token_stride) ||
      reaches_too_far(shape.heads, tensor.head_stride) || reaches_too_far(shape.head_dim, tensor.lane_stride)) {
    return false;
  }
  if (shape.group_heads == 0) return true;
  tensor.group_stride = stride_or(group_stride, shape.group_heads * tensor.head_stride);
  return !reaches_too_far(shape.heads / shape.group_heads, tensor.group_stride);
}

/// The same of pages in which a head's lanes lie in groups: [pages, heads, groups, places, lanes] without gaps.
bool resolve_split(const TensorView& view, std::int64_t split_stride, const Shape& shape, Tensor& tensor) noexcept {
  const std::int64_t lanes = shape.split_lanes;
  tensor.data = static_cast<const char*>(view.data);
  tensor.lane_stride = 1;
  tensor.token_stride = stride_or(view.token_stride, lanes);
  tensor.split_stride = stride_or(split_stride, shape.tokens * lanes);
  tensor.head_stride = stride_or(view.head_stride, shape.tokens * shape.head_dim);
  tensor.batch_stride = stride_or(view.batch_stride, shape.tokens * shape.heads * shape.head_dim);
  return !reaches_too_far(shape.batch, tensor.batch_stride) && !reaches_too_far(shape.tokens, tensor.token_stride) &&
         !reaches_too_far(shape.heads, tensor.head_stride) &&
         !reaches_too_far(shape.head_dim / lanes, tensor.split_stride);
}

/// Strides of dimensions of one element do not matter. Groups are for forms that promise nothing.
bool is_contiguous(const Tensor& tensor, const Shape& shape) noexcept {
  if (shape.group_heads != 0 || shape.split_lanes != 0) return false;
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
  if (shape.group_heads != 0) bits |= static_cast<std::uint64_t>(tensor.group_stride * element);
  if (shape.split_lanes != 0) bits |= static_cast<std::uint64_t>(tensor.split_stride * element);
  return bits;
}

/// The bytes that a launch touches: in place the rotating lanes, else whole rows.
StridedBox box_of(const Tensor& tensor, const Shape& shape, std::int64_t first_lane, std::int64_t lanes) noexcept {
  const StridedBox box = byte_box(tensor.data, {shape.batch, shape.tokens, shape.heads, lanes},
                                  {tensor.batch_stride, tensor.token_stride, tensor.head_stride, tensor.lane_stride},
                                  first_lane, shape.element);
  if (shape.split_lanes != 0) return split(box, shape.split_lanes, tensor.split_stride);
  if (shape.group_heads == 0) return box;
  return grouped(box, shape.group_heads, tensor.head_stride, tensor.group_stride);
}

/// One operand, checked: what it reads and what it writes.
struct Side {
  Shape shape{};
  Shape out_shape{};  // with rows of a cache that of the cache
  Tensor in;
  Tensor out;
  bool contiguous = false;
  bool has_pages = false;
  StridedBox reads;
  StridedBox writes;
  // Of operands that are written beside their cache: there, which in place is where they are read.
  Shape beside_shape{};
  Tensor beside;
  StridedBox writes_beside;
};
using Sides = std::array<Side, kMostOperands>;

/// The words of one operand's refusals.
struct Words {
  const char* not_in_class;
  const char* out_alone;
  const char* out_given;
  const char* out_unused;
  const char* out_missing;
  const char* unaligned;
  const char* too_far;
  const char* repeats;
  const char* aliases;
  const char* cache_rows;
  const char* cache_aliases;
  const char* block_size;
};
constexpr Words kWords[kMostOperands] = {
    {
        "",  // every class has q, and every launch
        "",
        "q_out: found a pointer, allowed in place: none (q itself is written)",
        "q_out: found a pointer, allowed: none (nothing of q is stored)",
        "q_out: found null, allowed: a device pointer",
        "q or q_out: found a pointer that is not aligned to its element",
        "q or q_out: found a stride that reaches beyond any address space",
        "q_out (q in place): elements overlap, allowed: strides under which every element is distinct",
        "q_out: overlaps an input, allowed: separate memory (the in_place form writes q itself)",
        "",
        "",
        "",
    },
    {
        "k.data: found a pointer, allowed: null (the spec has no k)",
        "k_out.data: found a pointer without k.data, allowed: both or neither",
        "k_out: found a pointer, allowed in place: none (k itself is written)",
        "k_out: found a pointer, allowed: none (nothing of k is stored)",
        "k_out: found null, allowed: a device pointer",
        "k or k_out: found a pointer that is not aligned to its element",
        "k or k_out: found a stride that reaches beyond any address space",
        "k_out (k in place): elements overlap, allowed: strides under which every element is distinct",
        "k_out: overlaps an input, allowed: separate memory (the in_place form writes k itself)",
        "k_cache_rows: found less than 1 or more than any memory holds, allowed: the rows of k_out",
        "k_out: overlaps an input, allowed: a cache in separate memory",
        "k_block_size: found less than 1 or more than k_cache_rows, allowed: the places of a page",
    },
    {
        "v.data: found a pointer, allowed: null (the spec has no v)",
        "v_out.data: found a pointer without v.data, allowed: both or neither",
        "",  // v is never in place where it is stored
        "v_out: found a pointer, allowed: none (nothing of v is stored)",
        "v_out: found null, allowed: a device pointer",
        "v or v_out: found a pointer that is not aligned to its element",
        "v or v_out: found a stride that reaches beyond any address space",
        "v_out: elements overlap, allowed: strides under which every element is distinct",
        "v_out: overlaps an input, allowed: separate memory",
        "v_cache_rows: found less than 1 or more than any memory holds, allowed: the rows of v_out",
        "v_out: overlaps an input, allowed: a cache in separate memory",
        "v_block_size: found less than 1 or more than v_cache_rows, allowed: the places of a page",
    },
    {
        "gate.data: found a pointer, allowed: null (the spec has no gate)",
        "gate_out.data: found a pointer without gate.data, allowed: both or neither",
        "",  // as v
        "gate_out: found a pointer, allowed: none (nothing of the gate is stored)",
        "gate_out: found null, allowed: a device pointer",
        "gate or gate_out: found a pointer that is not aligned to its element",
        "gate or gate_out: found a stride that reaches beyond any address space",
        "gate_out: elements overlap, allowed: strides under which every element is distinct",
        "gate_out: overlaps an input, allowed: separate memory",
        "",
        "",
        "",
    },
};
const Words& words_of(OperandName name) noexcept { return kWords[static_cast<std::size_t>(name)]; }

/// The words of what two operands may not share.
struct PairWords {
  const char* both_in_place;
  const char* first_in_place;
  const char* both_apart;
  const char* written_over_input;  // the first, in place, over what the second reads
};
// Of q and each name, then of k and the later ones, then of v and the last.
constexpr PairWords kPairs[] = {
    {"q and k: overlap, allowed in place: tensors that share no lane that is written",
     "q and k_out: overlap, allowed: a cache in separate memory", "q_out and k_out: overlap, allowed: separate memory",
     "q and k: overlap, allowed with k_rows: no lane of q that is written in k"},
    {"", "q and v_out: overlap, allowed: separate memory", "q_out and v_out: overlap, allowed: separate memory",
     "q and v: overlap, allowed: no lane of q that is written in v"},
    {"", "q and gate_out: overlap, allowed: separate memory", "q_out and gate_out: overlap, allowed: separate memory",
     "q and gate: overlap, allowed: no lane of q that is written in the gate"},
    {"", "k and v_out: overlap, allowed: separate memory", "k_out and v_out: overlap, allowed: separate memory",
     "k and v: overlap, allowed: no lane of k that is written in v"},
    {"", "k and gate_out: overlap, allowed: separate memory", "k_out and gate_out: overlap, allowed: separate memory",
     "k and gate: overlap, allowed: no lane of k that is written in the gate"},
    {"", "", "v_out and gate_out: overlap, allowed: separate memory", ""},
};
const PairWords& words_of(OperandName first, OperandName second) noexcept {
  constexpr std::size_t kFirstOf[] = {0, 3, 5};
  const auto number = [](OperandName name) { return static_cast<std::size_t>(name); };
  return kPairs[kFirstOf[number(first)] + number(second) - number(first) - 1];
}

/// The words of refusals of what an operand writes beside its cache.
struct BesideWords {
  const char* not_in_form;
  const char* alone;
  const char* given;
  const char* missing;
  const char* unaligned;
  const char* too_far;
  const char* repeats;
  const char* aliases;
  const char* overlaps[kMostOperands];  // what that operand writes
  const char* overlaps_beside;          // what another writes beside its cache
  const char* in_place_overlaps;
  const char* in_place_aliases;
};
template <Part Name>
constexpr BesideWords beside_words_of() {
  return {
      kJoined<Name, "_beside: found a pointer, allowed: null (the form has no ", Name, "_beside)">,
      kJoined<Name, "_beside: found a pointer without ", Name, ".data, allowed: both or neither">,
      kJoined<Name, "_beside: found a pointer, allowed in place: none (", Name, " itself is written)">,
      kJoined<Name, "_beside: found null, allowed: a device pointer">,
      kJoined<Name, "_beside: found a pointer that is not aligned to its element">,
      kJoined<Name, "_beside: found a stride that reaches beyond any address space">,
      kJoined<Name, "_beside: elements overlap, allowed: strides under which every element is distinct">,
      kJoined<Name, "_beside: overlaps an input, allowed: separate memory (the in_place form writes ", Name,
              " itself)">,
      {kJoined<"q_out and ", Name, "_beside: overlap, allowed: separate memory">,
       kJoined<"k_out and ", Name, "_beside: overlap, allowed: separate memory">,
       kJoined<Name, "_beside and v_out: overlap, allowed: separate memory">,
       kJoined<Name, "_beside and gate_out: overlap, allowed: separate memory">},
      "k_beside and v_beside: overlap, allowed: separate memory",
      kJoined<Name, ": overlaps what another operand writes, allowed with ", Name, "_beside in place: separate memory">,
      kJoined<Name, ": overlaps what another operand reads, allowed with ", Name, "_beside in place: separate memory">,
  };
}
constexpr BesideWords kBesideWords[kMostOperands] = {{}, beside_words_of<"k">(), beside_words_of<"v">(), {}};
const BesideWords& beside_words(OperandName name) noexcept { return kBesideWords[static_cast<std::size_t>(name)]; }

constexpr const char* kSplitTooFar = "k_split_stride: found a stride that reaches beyond any address space";
constexpr const char* kSplitLanes =
    "k_out.lane_stride: found other than 1, allowed with k_split: that, as a group's lanes lie side by side";

const char* check_beside(const KernelClass& kernel_class, const PlanOperand& operand, const OperandArgs& given,
                         Side& side) noexcept {
  const BesideWords& words = beside_words(operand.name);
  const bool in_place = operand.beside == Beside::in_place;
  if (in_place && given.beside != nullptr) return words.given;
  if (!in_place && given.beside == nullptr) return words.missing;
  side.beside_shape = side.shape;
  side.beside_shape.element = side.out_shape.element;
  side.beside = side.in;
  if (!in_place) {
    if (!resolve(*given.beside, kContiguous, side.beside_shape, side.beside)) return words.too_far;
    const auto address = reinterpret_cast<std::uintptr_t>(side.beside.data);
    if (address % static_cast<std::uintptr_t>(side.beside_shape.element) != 0) return words.unaligned;
  }
  const bool whole_rows = operand.writes_whole_rows_beside();
  side.writes_beside = box_of(side.beside, side.beside_shape, whole_rows ? 0 : operand.first_lane,
                              whole_rows ? operand.head_dim : kernel_class.rotary_dim);
  const bool contiguous = is_contiguous(side.beside, side.beside_shape);
  if (!contiguous && !is_injective(side.writes_beside)) {
    return in_place ? words_of(operand.name).repeats : words.repeats;
  }
  side.contiguous = side.contiguous && contiguous;
  return nullptr;
}

/// Of an operand that nothing is done to, its tensor is not looked at.
const char* check_idle(const PlanOperand& operand, const OperandArgs& given) noexcept {
  if (given.out->data != nullptr) return words_of(operand.name).out_unused;
  return given.beside != nullptr ? beside_words(operand.name).not_in_form : nullptr;
}

const char* check_side(const KernelClass& kernel_class, const PlanOperand& operand, const OperandArgs& given,
                       const RopeArgs& args, Side& side) noexcept {
  const Words& words = words_of(operand.name);
  const bool in_place = operand.in_place();
  const bool to_cache = operand.rows != CacheRows::none;
  const std::int64_t row = static_cast<std::int64_t>(operand.heads) * operand.head_dim;
  if (to_cache && (given.cache_rows < 1 || given.cache_rows > kMaxReach / row)) return words.cache_rows;
  const std::int64_t block_size = given.slots.block_size;
  if (operand.has_pages() && (block_size < 1 || block_size > given.cache_rows)) return words.block_size;
  side.shape = {args.batch,         args.tokens, operand.heads, operand.head_dim, size_of(kernel_class.dtype),
                operand.group_heads};
  side.out_shape = side.shape;
  side.out_shape.element = size_of(operand.dtype_out);
  if (to_cache) {
    side.out_shape.batch = 1;
    side.out_shape.tokens = given.cache_rows;
    if (operand.has_pages()) {
      side.out_shape.batch = (given.cache_rows - 1) / block_size + 1;
      side.out_shape.tokens = block_size;
    }
  }
  if (in_place && given.out->data != nullptr) return operand.has_store ? words.out_given : words.out_unused;
  if (!in_place && given.out->data == nullptr) return words.out_missing;
  if (!resolve(*given.in, args.q_group_stride, side.shape, side.in)) return words.too_far;
  side.out = side.in;
  if (operand.split_lanes != 0) {
    side.out_shape.split_lanes = operand.split_lanes;
    if (stride_or(given.out->lane_stride, 1) != 1) return kSplitLanes;
    if (!resolve_split(*given.out, given.split_stride, side.out_shape, side.out)) return kSplitTooFar;
  } else if (!in_place && !resolve(*given.out, args.q_out_group_stride, side.out_shape, side.out)) {
    return words.too_far;
  }
  if (reinterpret_cast<std::uintptr_t>(side.in.data) % static_cast<std::uintptr_t>(side.shape.element) != 0 ||
      reinterpret_cast<std::uintptr_t>(side.out.data) % static_cast<std::uintptr_t>(side.out_shape.element) != 0) {
    return words.unaligned;
  }
  const bool whole_rows = operand.writes_whole_rows();
  const std::int64_t first = whole_rows ? 0 : operand.first_lane;
  const std::int64_t lanes = whole_rows ? operand.head_dim : kernel_class.rotary_dim;
  side.reads = box_of(side.in, side.shape, first, lanes);
  side.writes = in_place ? side.reads : box_of(side.out, side.out_shape, first, lanes);
  const bool out_contiguous = is_contiguous(side.out, side.out_shape);
  if (operand.has_store && !out_contiguous && !is_injective(side.writes)) return words.repeats;
  side.has_pages = operand.has_pages();
  // Pages have strides of their own, whatever the form promises.
  side.contiguous = (out_contiguous || side.has_pages) && (in_place || is_contiguous(side.in, side.shape));
  if (operand.is_written_beside()) return check_beside(kernel_class, operand, given, side);
  return given.beside != nullptr ? beside_words(operand.name).not_in_form : nullptr;
}

TensorStrides strides_of(const Side& side, bool to_cache) noexcept {
  const std::int64_t tokens = side.shape.tokens;
  const bool alone = side.shape.batch == 1;
  if (side.has_pages) {
    return {alone ? 0 : sequence_stride(side.in.batch_stride, side.in.token_stride, tokens),
            side.in.token_stride,
            side.in.head_stride,
            side.in.lane_stride,
            side.out.batch_stride,  // between pages
            side.out.token_stride,
            side.out.head_stride,
            side.out.lane_stride};
  }
  return {alone ? 0 : sequence_stride(side.in.batch_stride, side.in.token_stride, tokens), side.in.token_stride,
          side.in.head_stride, side.in.lane_stride,
          // A row of the cache is not found by its token.
          alone || to_cache ? 0 : sequence_stride(side.out.batch_stride, side.out.token_stride, tokens),
          side.out.token_stride, side.out.head_stride, side.out.lane_stride};
}

/// What an operand is written to beside its cache, against all that the operands write and read.
const char* check_overlaps_beside(const KernelClass& kernel_class, const LaunchArguments& arguments, const Sides& sides,
                                  std::size_t i) noexcept {
  const auto& operands = kernel_class.operands;
  const StridedBox& beside = sides[i].writes_beside;
  const BesideWords& words = beside_words(operands[i].name);
  const bool in_place = operands[i].beside == Beside::in_place;
  for (std::size_t j = 0; j < operands.size(); ++j) {
    // In place it is what it reads, and that no output is an input is said by check_overlaps.
    if (!arguments.has_work[j] || (in_place && j == i)) continue;
    if (!are_disjoint(beside, sides[j].writes)) {
      if (!in_place) return words.overlaps[static_cast<std::size_t>(operands[j].name)];
      if (operands[i].name == OperandName::v) return words.in_place_overlaps;
      const PairWords& pair =
          j < i ? words_of(operands[j].name, operands[i].name) : words_of(operands[i].name, operands[j].name);
      return j < i ? pair.both_in_place : pair.first_in_place;
    }
    if (j != i && operands[j].is_written_beside() && !are_disjoint(beside, sides[j].writes_beside)) {
      return words.overlaps_beside;
    }
    if (operands[j].in_place() || are_disjoint(beside, sides[j].reads)) continue;
    if (!in_place) return words.aliases;
    return j < i ? words.in_place_aliases : words_of(operands[i].name, operands[j].name).written_over_input;
  }
  return nullptr;
}

/// Whether two caches are other rows of one pool, each of them with slots of single rows: which rows belong to which is
/// the lists' to say then (a pool of pages that hold k's places and then v's, whose slots count all rows).
bool are_rows_of_one_pool(const Side& a, const Side& b) noexcept {
  if (!a.has_pages || !b.has_pages || a.out_shape.tokens != 1 || b.out_shape.tokens != 1) return false;
  if (a.out_shape.element != b.out_shape.element || a.out.batch_stride != b.out.batch_stride ||
      a.out.head_stride != b.out.head_stride || a.out.lane_stride != b.out.lane_stride) {
    return false;
  }
  const std::int64_t row = a.out.batch_stride * a.out_shape.element;
  const std::int64_t apart = b.writes.base - a.writes.base;
  return row != 0 && apart != 0 && apart % row == 0;
}

/// What operand i writes against what operand j writes, i < j; then against what j reads.
const char* check_overlaps(const KernelClass& kernel_class, const LaunchArguments& arguments,
                           const Sides& sides) noexcept {
  const auto& operands = kernel_class.operands;
  if (kernel_class.form.statistics_only) return nullptr;  // tensors are read alone
  for (std::size_t i = 0; i < operands.size(); ++i) {
    for (std::size_t j = i + 1; j < operands.size(); ++j) {
      if (!arguments.has_work[i] || !arguments.has_work[j] || are_disjoint(sides[i].writes, sides[j].writes)) continue;
      if (are_rows_of_one_pool(sides[i], sides[j])) continue;
      const PairWords& words = words_of(operands[i].name, operands[j].name);
      if (operands[j].in_place()) return words.both_in_place;
      return operands[i].in_place() ? words.first_in_place : words.both_apart;
    }
  }
  for (std::size_t i = 0; i < operands.size(); ++i) {
    for (std::size_t j = 0; j < operands.size(); ++j) {
      // In place, what is read is what is written.
      const bool is_written_too = operands[j].in_place() && (i == j || operands[i].in_place());
      if (!arguments.has_work[i] || !arguments.has_work[j] || is_written_too) continue;
      if (are_disjoint(sides[i].writes, sides[j].reads)) continue;
      if (operands[i].in_place()) return words_of(operands[i].name, operands[j].name).written_over_input;
      const Words& words = words_of(operands[i].name);
      return operands[i].rows != CacheRows::none ? words.cache_aliases : words.aliases;
    }
  }
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (!arguments.has_work[i] || !operands[i].is_written_beside()) continue;
    if (const char* why = check_overlaps_beside(kernel_class, arguments, sides, i)) return why;
  }
  return nullptr;
}

/// What the tensors are aligned to; all 0 where the form's fast kernels cannot serve them.
AccessWidths alignment_of(const KernelClass& kernel_class, const LaunchArguments& arguments,
                          const Sides& sides) noexcept {
  const bool contiguous = kernel_class.form.strides == Strides::contiguous;
  std::uint64_t in = 0;
  AccessWidths widths;
  widths.table = kWidestAccess;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    widths.out[i] = kWidestAccess;
    if (!arguments.has_work[i]) continue;
    const Side& side = sides[i];
    std::uint64_t beside = 0;
    if (contiguous) {
      if (!side.contiguous || side.out.lane_stride != 1) return {};
      in |= reinterpret_cast<std::uintptr_t>(side.in.data);
      beside = reinterpret_cast<std::uintptr_t>(side.beside.data);
      widths.out[i] = width_of(beside | (side.has_pages ? alignment_bits(side.out, side.out_shape)
                                                        : reinterpret_cast<std::uintptr_t>(side.out.data)));
    } else {
      if (side.in.lane_stride != 1 || side.out.lane_stride != 1) return {};
      if (kernel_class.operands[i].is_written_beside()) {
        if (side.beside.lane_stride != 1) return {};
        beside = alignment_bits(side.beside, side.beside_shape);
      }
      in |= alignment_bits(side.in, side.shape);
      widths.out[i] = width_of(beside | alignment_bits(side.out, side.out_shape));
    }
  }
  widths.in = width_of(in);
  return widths;
}

}  // namespace

const char* fill_tensors(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  if (args.q.data == nullptr) return "q.data: found null, allowed: a device pointer";
  Sides sides;
  const char* why = nullptr;
  const bool known = for_each_operand(
      kernel_class, args, [&](std::size_t i, const PlanOperand& operand, const OperandArgs& given) noexcept {
        out.has_work[i] = given.is_given() && !operand.is_idle();
        if (given.is_given() && operand.is_idle()) {
          why = check_idle(operand, given);
        } else if (given.is_given()) {
          why = check_side(kernel_class, operand, given, args, sides[i]);
        } else if (given.out->data != nullptr) {
          why = words_of(operand.name).out_alone;
        } else if (given.beside != nullptr) {
          why = beside_words(operand.name).alone;
        }
        return why == nullptr;
      });
  if (why != nullptr) return why;
  if (!known) {
    for (const OperandName name : {OperandName::k, OperandName::v, OperandName::gate}) {
      const OperandArgs given = args_of(args, name);
      if (kernel_class.find(name) != nullptr) continue;
      if (given.is_given()) return words_of(name).not_in_class;
      if (given.out->data != nullptr) return words_of(name).out_alone;
      if (given.beside != nullptr) return beside_words(name).alone;
    }
  }
  if ((why = check_overlaps(kernel_class, out, sides)) != nullptr) return why;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    if (!out.has_work[i]) continue;
    const PlanOperand& operand = kernel_class.operands[i];
    set_operand(out.params, i, sides[i].in.data, const_cast<char*>(sides[i].out.data),
                strides_of(sides[i], operand.rows != CacheRows::none), args_of(args, operand.name));
    if (operand.group_heads != 0) {
      const auto gained = [&](const Tensor& tensor) {
        return tensor.group_stride - operand.group_heads * tensor.head_stride;
      };
      out.params.groups = {gained(sides[i].in), gained(sides[i].out)};
    }
    if (operand.split_lanes != 0) out.params.split_stride = sides[i].out.split_stride;
    if (operand.beside == Beside::apart) {
      const Tensor& beside = sides[i].beside;
      const std::int64_t sequence =
          args.batch == 1 ? 0 : sequence_stride(beside.batch_stride, beside.token_stride, args.tokens);
      beside_of(kernel_class, out.params, i) = {const_cast<char*>(beside.data), sequence, beside.token_stride,
                                                beside.head_stride, beside.lane_stride};
    }
  }
  out.aligned = alignment_of(kernel_class, out, sides);
  return nullptr;
}

}  // namespace ropejit::internal
