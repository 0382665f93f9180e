#include "launch/statistic_arguments.hpp"

#include <array>

#include "launch/operand_args.hpp"
#include "launch/operand_words.hpp"
#include "launch/stride_arithmetic.hpp"
#include "launch/strided_box.hpp"

namespace ropejit::internal {
namespace {

constexpr std::int64_t kBytes = sizeof(float);

/// The words of refusals of one statistic, those of null by what should be there: r or the sum, of every token and head
/// or of every token.
struct Words {
  const char* missing[2][2];
  const char* not_wanted;
  const char* unaligned;
  const char* too_far;
  const char* repeats;
  const char* overlaps;
};
struct OperandWords {
  Words given;
  Words handed_out;
};

/// Of both statistics of all operands, but for why one is not wanted and where it may lie.
template <Part Field, Part WhyNot, Part Overlaps>
constexpr Words kWordsOf = {
    {{kJoined<Field, ": found null, allowed: a device pointer to r of every token and head">,
      kJoined<Field, ": found null, allowed: a device pointer to r of every token">},
     {kJoined<Field, ": found null, allowed: a device pointer to the sum of squares of every token and head">,
      kJoined<Field, ": found null, allowed: a device pointer to the sum of squares of every token">}},
    kJoined<Field, ": found a pointer, allowed: null (", WhyNot, ")">,
    kJoined<Field, ": found a pointer that is not aligned to its element">,
    kJoined<Field, ": found a stride that reaches beyond any address space">,
    kJoined<Field, ": elements overlap, allowed: strides under which every element is distinct">,
    kJoined<Field, ": overlaps ", Overlaps, ", allowed: separate memory">,
};
template <Part Name, Part LeftOut>
constexpr OperandWords kOperandWordsOf = {
    kWordsOf<kJoinedText<Name, "_norm_statistic">,
             kJoinedText<"the spec's ", Name, " has no norm of a given statistic", LeftOut>, "an output">,
    kWordsOf<kJoinedText<Name, "_norm_statistic_out">,
             kJoinedText<"no norm of ", Name, " hands its statistic out", LeftOut>, "an input or another output">,
};
constexpr OperandWords kWords[kMostStagedOperands] = {
    kOperandWordsOf<"q", "">, kOperandWordsOf<"k", ", or k is left out">, kOperandWordsOf<"v", ", or v is left out">};

/// What a launch is told of one statistic, given or handed out.
struct View {
  const float* data;
  std::int64_t token_stride;
  std::int64_t head_stride;
};
View given_of(const RopeArgs& args, std::size_t name) noexcept {
  const NormStatistic& view = args.*members_of(static_cast<OperandName>(name)).statistic;
  return {view.data, view.token_stride, view.head_stride};
}
View handed_out_of(const RopeArgs& args, std::size_t name) noexcept {
  const NormStatisticOut& view = args.*members_of(static_cast<OperandName>(name)).statistic_out;
  return {view.data, view.token_stride, view.head_stride};
}

/// What a launch touches of one operand. `writes_beside` is `writes` where nothing is written beside a cache.
struct OperandBoxes {
  StridedBox reads;
  StridedBox writes;
  StridedBox writes_beside;
};

/// `sequence` strides are what TensorStrides have, which is what a token gains beyond the token stride.
OperandBoxes boxes_of(const KernelClass& kernel_class, std::size_t i, const RopeArgs& args,
                      const StoreParams& params) noexcept {
  const PlanOperand& operand = kernel_class.operands[i];
  const TensorStrides& strides = strides_of(params, i);
  const std::int64_t element = size_of(kernel_class.dtype);
  const std::int64_t element_out = size_of(operand.dtype_out);
  const bool whole_rows = operand.writes_whole_rows();
  const std::int64_t first = whole_rows ? 0 : operand.first_lane;
  const std::int64_t lanes = whole_rows ? operand.head_dim : kernel_class.rotary_dim;
  const std::int64_t heads = operand.heads;
  OperandBoxes boxes;
  boxes.reads = byte_box(
      input_of(params, i), {args.batch, args.tokens, heads, lanes},
      {strides.in_sequence + args.tokens * strides.in_token, strides.in_token, strides.in_head, strides.in_lane}, first,
      element);
  const std::int64_t group = operand.group_heads;
  // `gained` is there to be read where there are groups.
  const auto with_groups = [group](const StridedBox& box, std::int64_t head, const long long& gained) {
    return group == 0 ? box : grouped(box, group, head, group * head + gained);
  };
  boxes.reads = with_groups(boxes.reads, strides.in_head, params.groups.in);
  std::array<std::int64_t, 4> count = {args.batch, args.tokens, heads, lanes};
  std::int64_t batch_stride = strides.out_sequence + args.tokens * strides.out_token;
  const OperandArgs given = args_of(args, operand.name);
  if (operand.has_pages()) {
    count[0] = (given.cache_rows - 1) / given.slots.block_size + 1;
    count[1] = given.slots.block_size;
    batch_stride = strides.out_sequence;
  } else if (operand.rows != CacheRows::none) {
    count[0] = 1;
    count[1] = given.cache_rows;
  }
  boxes.writes = operand.in_place() ? boxes.reads
                                    : byte_box(output_of(params, i), count,
                                               {batch_stride, strides.out_token, strides.out_head, strides.out_lane},
                                               first, element_out);
  if (!operand.in_place()) boxes.writes = with_groups(boxes.writes, strides.out_head, params.groups.out);
  if (operand.split_lanes != 0) boxes.writes = split(boxes.writes, operand.split_lanes, params.split_stride);
  boxes.writes_beside = operand.beside == Beside::in_place ? boxes.reads : boxes.writes;
  if (operand.beside == Beside::apart) {
    const BesideStore& beside = beside_of(kernel_class, params, i);
    boxes.writes_beside = byte_box(
        beside.out, {args.batch, args.tokens, heads, operand.head_dim},
        {beside.sequence + args.tokens * beside.token, beside.token, beside.head, beside.lane}, 0, element_out);
  }
  return boxes;
}

/// One statistic of a launch, checked but for overlaps.
struct Side {
  const Words* words = nullptr;  // null: the operand has none
  bool is_written = false;
  StridedBox box;
};
using Sides = std::array<Side, kMostOperands>;

const char* fill_one(const View& view, const Words& words, const PlanOperand& operand, std::int64_t tokens, Side& side,
                     OperandStatistic& statistic) noexcept {
  side.words = &words;
  side.is_written = operand.hands_out_statistic();
  const std::int64_t heads = operand.statistics();
  const bool is_sum =
      operand.norm.statistic == StatisticUse::sum_given || operand.norm.statistic == StatisticUse::sum_handed_out;
  if (view.data == nullptr) return words.missing[is_sum ? 1 : 0][operand.is_normed_by_token() ? 1 : 0];
  if (reinterpret_cast<std::uintptr_t>(view.data) % kBytes != 0) return words.unaligned;
  const std::int64_t token = stride_or(view.token_stride, heads);
  const std::int64_t head = operand.is_normed_by_token() ? 0 : stride_or(view.head_stride, 1);
  if (reaches_too_far(tokens, token) || reaches_too_far(heads, head)) return words.too_far;
  side.box = byte_box(view.data, {1, 1, tokens, heads}, {0, 0, token, head}, 0, kBytes);
  if (side.is_written && !is_injective(side.box)) return words.repeats;
  statistic = {const_cast<float*>(view.data), token, head, 0};
  return nullptr;
}

const char* check_overlaps(const KernelClass& kernel_class, const RopeArgs& args, const LaunchArguments& arguments,
                           const Sides& sides) noexcept {
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    if (!arguments.has_work[i]) continue;
    const OperandBoxes boxes = boxes_of(kernel_class, i, args, arguments.params);
    for (const Side& side : sides) {
      if (side.words == nullptr) continue;
      const bool is_written_over = kernel_class.operands[i].has_store && (!are_disjoint(side.box, boxes.writes) ||
                                                                          !are_disjoint(side.box, boxes.writes_beside));
      if (is_written_over || (side.is_written && !are_disjoint(side.box, boxes.reads))) return side.words->overlaps;
    }
  }
  for (std::size_t i = 0; i < sides.size(); ++i) {
    for (std::size_t j = 0; j < sides.size(); ++j) {
      if (i == j || sides[i].words == nullptr || sides[j].words == nullptr || !sides[i].is_written) continue;
      if (!are_disjoint(sides[i].box, sides[j].box)) return sides[i].words->overlaps;
    }
  }
  return nullptr;
}

/// Of what a launch brings the first that has no use; null: nothing.
const char* find_unwanted(const RopeArgs& args, const std::array<bool, kMostStagedOperands>& takes_given,
                          const std::array<bool, kMostStagedOperands>& hands_out) noexcept {
  for (std::size_t name = 0; name < kMostStagedOperands; ++name) {
    if (given_of(args, name).data != nullptr && !takes_given[name]) return kWords[name].given.not_wanted;
    if (handed_out_of(args, name).data != nullptr && !hands_out[name]) return kWords[name].handed_out.not_wanted;
  }
  return nullptr;
}

}  // namespace

const char* refuse_statistics(const RopeArgs& args) noexcept { return find_unwanted(args, {}, {}); }

const char* fill_statistics(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  const bool has_any = kernel_class.has_statistic_in_memory();
  if (!has_any && !brings_statistics(args)) return nullptr;
  Sides sides;
  std::array<bool, kMostStagedOperands> takes_given{};
  std::array<bool, kMostStagedOperands> hands_out{};
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const PlanOperand& operand = kernel_class.operands[i];
    if (!out.has_work[i] || !operand.is_normed() || operand.norm.statistic == StatisticUse::computed) continue;
    const auto name = static_cast<std::size_t>(operand.name);
    takes_given[name] = operand.is_given_statistic();
    hands_out[name] = !takes_given[name];
    const View view = takes_given[name] ? given_of(args, name) : handed_out_of(args, name);
    const Words& words = takes_given[name] ? kWords[name].given : kWords[name].handed_out;
    if (const char* why = fill_one(view, words, operand, out.tokens, sides[i], out.params.statistic[i])) return why;
  }
  // As other memory of stages that the plan of a launch without stores leaves out (stage_arguments.cpp).
  if (kernel_class.form.statistics_only) takes_given.fill(true);
  if (const char* why = find_unwanted(args, takes_given, hands_out)) return why;
  return check_overlaps(kernel_class, args, out, sides);
}

}  // namespace ropejit::internal
