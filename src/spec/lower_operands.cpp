#include "spec/lower_operands.hpp"

#include <fmt/format.h>

#include <utility>

#include "spec/names.hpp"
#include "spec/operand_fields.hpp"

namespace ropejit::internal {
namespace {

// The bytes of a group of lanes where a cache has a head's lanes in groups.
constexpr std::uint32_t kSplitBytes = 16;

Stage stage_of(StageName name) {
  switch (name) {
    case StageName::bias: return Stage::bias;
    case StageName::norm: return Stage::norm;
    case StageName::clamp: return Stage::clamp;
    case StageName::scale: return Stage::scale;
    case StageName::head_scale: return Stage::head_scale;
    case StageName::rotate: return Stage::rotate;
    case StageName::temperature: return Stage::temperature;
  }
  return Stage::none;
}

// The stages of an operand, in order.
llvm::SmallVector<Stage, MostStages> lower_stages(const Operand& operand, bool rotates) {
  llvm::SmallVector<Stage, MostStages> stages;
  for (const StageName name : operand.order) stages.push_back(stage_of(name));
  if (!stages.empty()) return stages;
  for (const OperandStage& one : stages_of(operand, rotates)) {
    if (one.is_there) stages.push_back(stage_of(one.name));
  }
  return stages;
}

StatisticUse lower_statistic(const Norm& norm, const LaunchForm& form) {
  if (norm.statistic == Statistic::given) return StatisticUse::given;
  if (norm.statistic == Statistic::given_sum) return StatisticUse::sum_given;
  if (!form.norm_statistics) return StatisticUse::computed;
  return form.norm_sums ? StatisticUse::sum_handed_out : StatisticUse::handed_out;
}

// fp32 values stay what they are where they are rounded to fp32.
PlanNorm lower_norm(const Norm& norm, const Operand& operand, const RopeSpec& spec, const LaunchForm& form) {
  const bool narrow = spec.dtype != DType::fp32;
  const RoundAfter& after = spec.round_after;
  PlanNorm lowered;
  lowered.kind = norm.kind;
  lowered.span = norm.span;
  lowered.weights = norm.weight;
  const bool has_weights = norm.weight != NormWeight::none;
  lowered.weight = has_weights ? norm.weight_dtype.value_or(spec.dtype) : spec.dtype;
  lowered.plus_one = norm.plus_one;
  lowered.has_bias = norm.bias;
  lowered.first_lane = static_cast<std::uint32_t>(norm.first_lane);
  lowered.lanes = static_cast<std::uint32_t>(norm.lanes != 0 ? norm.lanes : operand.head_dim - norm.first_lane);
  lowered.round_statistic = narrow && after.statistic;
  lowered.round_normed = narrow && after.norm;
  lowered.round_weighted = narrow && has_weights && after.weight;
  lowered.round_biased = narrow && norm.bias && after.norm_bias;
  lowered.statistic = lower_statistic(norm, form);
  return lowered;
}

StageConstants lower_constants(const Operand& operand) {
  StageConstants constants;
  if (operand.norm && operand.norm->statistic != Statistic::given) {
    constants.eps = static_cast<float>(operand.norm->eps);
  }
  if (operand.norm && operand.norm->statistic == Statistic::given_sum) {
    const Norm& norm = *operand.norm;
    const std::int64_t lanes = norm.lanes != 0 ? norm.lanes : operand.head_dim - norm.first_lane;
    const std::int64_t heads = norm.span == NormSpan::head ? 1
                               : norm.global_heads != 0    ? norm.global_heads
                                                           : operand.heads;
    constants.norm_share = 1.0F / static_cast<float>(lanes * heads);
  }
  if (operand.clamp) constants.clamp = static_cast<float>(*operand.clamp);
  if (operand.scale) constants.scale = static_cast<float>(*operand.scale);
  if (!operand.temperature) return constants;
  constants.tau_coefficient = static_cast<float>(operand.temperature->coefficient);
  constants.tau_length = operand.temperature->length;
  return constants;
}

// An operand that a launch leaves alone: nothing of what its stages were told is left.
PlanOperand without_stages(PlanOperand operand) {
  operand.stages.clear();
  operand.norm = {};
  operand.temperature = {};
  operand.round_bias = operand.round_scale = operand.round_rotation = false;
  return operand;
}

PlanOperand lower_operand(OperandName name, const char* word, const Operand& operand, const RopeSpec& spec,
                          const LaunchForm& form, CacheRows rows, bool is_beside) {
  const Placement placement = form.placement;
  const bool narrow = spec.dtype != DType::fp32;
  PlanOperand lowered;
  lowered.name = name;
  lowered.heads = static_cast<std::uint32_t>(operand.heads);
  lowered.head_dim = static_cast<std::uint32_t>(operand.head_dim);
  lowered.first_lane = static_cast<std::uint32_t>(operand.first_lane);
  lowered.stages = lower_stages(operand, !is_copied(name));
  if (operand.norm) lowered.norm = lower_norm(*operand.norm, operand, spec, form);
  if (operand.temperature) {
    lowered.temperature = {operand.temperature->steps, operand.temperature->offset == 1,
                           narrow && spec.round_after.tau};
  }
  lowered.round_bias = narrow && operand.bias && spec.round_after.bias;
  lowered.round_scale = narrow && (operand.scale || operand.head_scales) && spec.round_after.scale;
  // Where nothing comes behind it, the store rounds.
  lowered.round_rotation =
      narrow && lowered.rotates() && lowered.stages.back() != Stage::rotate && spec.round_after.rotation;
  lowered.dtype_out = operand.dtype_out.value_or(spec.dtype);
  if (form.statistics_only) {
    lowered.has_store = false;
    lowered.dtype_out = spec.dtype;
    // What comes behind the norm is of no account, and without a statistic to hand out the row is left alone.
    if (!lowered.hands_out_statistic()) return without_stages(std::move(lowered));
    const auto* const norming = llvm::find(lowered.stages, Stage::norm);
    lowered.stages.truncate(static_cast<std::size_t>(norming - lowered.stages.begin()) + 1);
    if (!lowered.has(Stage::temperature)) lowered.temperature = {};
    lowered.round_bias = lowered.round_bias && lowered.has(Stage::bias);
    lowered.round_scale = lowered.round_scale && (lowered.has(Stage::scale) || lowered.has(Stage::head_scale));
    lowered.round_rotation = lowered.round_rotation && lowered.rotates();
    return lowered;
  }
  const bool apart = rows != CacheRows::none || is_copied(name);
  lowered.placement = apart ? Placement::out_of_place : placement;
  lowered.rows = rows;
  if (lowered.has_page_table()) {
    lowered.requests = form.token_requests;
    lowered.places = form.token_places;
  }
  if (name == OperandName::k && form.k_split) {
    lowered.split_lanes = kSplitBytes / static_cast<std::uint32_t>(size_of(lowered.dtype_out));
  }
  if (is_beside) lowered.beside = placement == Placement::in_place ? Beside::in_place : Beside::apart;
  if (lowered.writes_over_itself() && lowered.dtype_out != spec.dtype) {
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}.dtype_out", word), to_string(lowered.dtype_out),
                      fmt::format("{} in place, or another out of place", to_string(spec.dtype)));
  }
  if (lowered.split_lanes != 0 && lowered.head_dim % lowered.split_lanes != 0) {
    throw field_error(ErrorCode::invalid_argument, "k_split", "true",
                      fmt::format("false, or a head_dim of k that is a multiple of {}", lowered.split_lanes));
  }
  if (name == OperandName::v && lowered.writes_over_itself() && lowered.stages.empty()) {
    throw field_error(ErrorCode::invalid_argument, "v_beside", "true",
                      "false in place, where a v without stages is as it was, or true out of place");
  }
  if (name != OperandName::q && lowered.writes_over_itself() && lowered.stages.empty()) {
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}.rotates", word), "false",
                      is_beside ? "true with k_beside in place, or false out of place or without it"
                                : "true in place, or false out of place or with k_rows");
  }
  return lowered;
}

}  // namespace

void lower_operands(const RopeSpec& spec, const LaunchForm& form, RotationPlan& plan) {
  KernelClass& kernel_class = plan.kernel_class;
  const auto add = [&](OperandName name, const char* word, const Operand& operand, CacheRows rows,
                       bool is_beside = false) {
    PlanOperand lowered = lower_operand(name, word, operand, spec, form, rows, is_beside);
    if (!lowered.is_idle()) plan.constants[kernel_class.operands.size()] = lower_constants(operand);
    kernel_class.operands.push_back(std::move(lowered));
  };
  add(OperandName::q, "q", spec.q, CacheRows::none);
  if (form.grouped_q) {
    kernel_class.operands.front().group_heads = static_cast<std::uint32_t>(spec.q.heads / spec.k->heads);
  }
  if (spec.k) add(OperandName::k, "k", *spec.k, form.k_rows, form.k_beside);
  if (spec.v) add(OperandName::v, "v", *spec.v, form.v_rows, form.v_beside);
  if (spec.gate) add(OperandName::gate, "gate", *spec.gate, CacheRows::none);
  if (llvm::all_of(kernel_class.operands, [](const PlanOperand& one) { return one.is_idle(); })) {
    throw field_error(ErrorCode::invalid_argument, "q.rotates", "false",
                      "true where q alone is written in place and goes through no other stage");
  }
}

}  // namespace ropejit::internal
