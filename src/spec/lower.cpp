#include "spec/lower.hpp"

#include <fmt/format.h>

#include <bit>
#include <utility>

#include "spec/attention_scale.hpp"
#include "spec/axes.hpp"
#include "spec/frequencies.hpp"
#include "spec/names.hpp"
#include "spec/operand_fields.hpp"
#include "spec/read_spec.hpp"
#include "support/usual_arithmetic.hpp"

namespace ropejit::internal {
namespace {

bool has_ids(PositionSource positions) {
  return positions == PositionSource::ids32 || positions == PositionSource::ids64;
}

// Of a norm that hands out what it computes.
bool is_computed(const std::optional<Norm>& norm) { return norm && norm->statistic == Statistic::computed; }
bool is_layer(const std::optional<Norm>& norm) { return is_computed(norm) && norm->kind == NormKind::layer; }

void validate_groups(const RopeSpec& spec, const LaunchForm& form) {
  const auto bad = [](const char* allowed) {
    return field_error(ErrorCode::invalid_argument, "grouped_q", "true", allowed);
  };
  if (!spec.k) throw bad("false for a spec without k");
  if (spec.q.heads % spec.k->heads != 0) throw bad("false, or heads of k that divide those of q");
  if (form.strides != Strides::free) throw bad("false, or strides free");
}

// What spec and form say together.
void validate_together(const RopeSpec& spec, const LaunchForm& form) {
  if (form.k_rows != CacheRows::none && !spec.k) {
    throw field_error(ErrorCode::invalid_argument, "k_rows", to_string(form.k_rows), "none for a spec without k");
  }
  if (form.v_rows != CacheRows::none && !spec.v) {
    throw field_error(ErrorCode::invalid_argument, "v_rows", to_string(form.v_rows), "none for a spec without v");
  }
  if (form.norm_statistics && !is_computed(spec.q.norm) && !(spec.k && is_computed(spec.k->norm)) &&
      !(spec.v && is_computed(spec.v->norm))) {
    throw field_error(ErrorCode::invalid_argument, "norm_statistics", "true",
                      "false for a spec none of whose norms computes its statistic");
  }
  if (form.norm_statistics &&
      (is_layer(spec.q.norm) || (spec.k && is_layer(spec.k->norm)) || (spec.v && is_layer(spec.v->norm)))) {
    throw field_error(ErrorCode::invalid_argument, "norm_statistics", "true",
                      "false for a spec with a layer norm, whose statistics are two");
  }
  for (const auto& [name, value] :
       {std::pair{"norm_sums", form.norm_sums}, std::pair{"statistics_only", form.statistics_only}}) {
    if (value && !form.norm_statistics) {
      throw field_error(ErrorCode::invalid_argument, name, "true", "false without norm_statistics");
    }
  }
  if (form.statistics_only && (form.k_rows != CacheRows::none || form.v_rows != CacheRows::none || form.k_beside)) {
    throw field_error(ErrorCode::invalid_argument, "statistics_only", "true",
                      "false with k_rows, v_rows or k_beside, as nothing is stored");
  }
  if (form.grouped_q) validate_groups(spec, form);
  if (form.context_parallel != ContextParallel::none && has_ids(form.positions)) {
    throw field_error(ErrorCode::invalid_argument, "context_parallel", to_string(form.context_parallel),
                      fmt::format("none with positions {}, which say where each token is", to_string(form.positions)));
  }
}

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
  if (is_beside) lowered.beside = placement == Placement::in_place ? Beside::in_place : Beside::apart;
  if (lowered.writes_over_itself() && lowered.dtype_out != spec.dtype) {
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}.dtype_out", word), to_string(lowered.dtype_out),
                      fmt::format("{} in place, or another out of place", to_string(spec.dtype)));
  }
  if (name != OperandName::q && lowered.writes_over_itself() && lowered.stages.empty()) {
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}.rotates", word), "false",
                      is_beside ? "true with k_beside in place, or false out of place or without it"
                                : "true in place, or false out of place or with k_rows");
  }
  return lowered;
}

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
  if (spec.v) add(OperandName::v, "v", *spec.v, form.v_rows);
  if (spec.gate) add(OperandName::gate, "gate", *spec.gate, CacheRows::none);
  if (llvm::all_of(kernel_class.operands, [](const PlanOperand& one) { return one.is_idle(); })) {
    throw field_error(ErrorCode::invalid_argument, "q.rotates", "false",
                      "true where q alone is written in place and goes through no other stage");
  }
}

// Positions that are counted are the same on every axis.
void lower_axes(const RopeSpec& spec, const LaunchForm& form, KernelClass& kernel_class) {
  const std::size_t axes = spec.axes.sections.size();
  kernel_class.section_pairs = kernel_class.pairs();
  const bool sections = spec.layout == Layout::split_sections || spec.layout_out == Layout::split_sections;
  if (sections) kernel_class.section_pairs /= static_cast<std::uint32_t>(axes);
  if (axes < 2 || !has_ids(form.positions)) return;
  kernel_class.axes = static_cast<std::uint32_t>(axes);
  for (const PairAxis& pair : pair_axes(spec)) kernel_class.pair_axes.push_back(pair.axis);
}

// The table is all there is to know of the angles, its scale included.
void lower_table(const RopeSpec& spec, const LaunchForm& form, KernelClass& kernel_class) {
  if (spec.direction == Direction::inverse) kernel_class.table_use = TableUse::inverse;
  if (spec.direction == Direction::shift) kernel_class.table_use = TableUse::shift;
  if (form.angles == AngleSource::radians) kernel_class.sine = spec.sine;
}

double scale_of(const RopeSpec& spec, double attention_scale) {
  if (spec.direction == Direction::inverse) return 1.0 / attention_scale;
  return spec.direction == Direction::shift ? 1.0 : attention_scale;
}

void lower_frequencies(const RopeSpec& spec, RotationPlan& plan) {
  KernelClass& kernel_class = plan.kernel_class;
  kernel_class.sine = spec.sine;
  kernel_class.fp32_angle = spec.angle == AngleRounding::fp32;
  if (depends_on_length(spec.scaling) && !spec.max_length) {
    // The code must serve every length.
    plan.needs_length = true;
    kernel_class.scaled = false;
    for (const bool is_long : {false, true}) {
      if (scale_of(spec, attention_scale(spec.scaling, is_long)) != 1.0) kernel_class.scaled = true;
    }
    return;
  }
  Frequencies data = frequencies(spec);
  plan.attention_scale = scale_of(spec, data.attention_scale);
  kernel_class.scaled = plan.attention_scale != 1.0;
  plan.steps = std::move(data.steps);
  plan.inv_freq = std::move(data.inv_freq);
  if (!kernel_class.fp32_angle) return;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    plan.steps[i] = std::bit_cast<std::uint32_t>(data.inv_freq_fp32[i]);
  }
}

// One pair that turns by nothing, whatever the spec says of angles.
void lower_nothing_that_rotates(RotationPlan& plan) {
  KernelClass& kernel_class = plan.kernel_class;
  kernel_class.layout = kernel_class.layout_out = Layout::split_half;
  kernel_class.rotary_dim = 2;
  kernel_class.section_pairs = 1;
  kernel_class.negate_sin = false;
  kernel_class.rounding = Rounding::exact;
  kernel_class.form.angles = AngleSource::computed;
  kernel_class.form.table_dtype = DType::fp32;
  kernel_class.form.padding = Padding::rotate;
  for (PlanOperand& operand : kernel_class.operands) operand.first_lane = 0;
  plan.steps = {0};
  plan.inv_freq = {0.0};
}

}  // namespace

RotationPlan lower(const RopeSpec& spec, const LaunchForm& form) {
  const UsualArithmetic arithmetic;
  spec.validate();
  validate_form(form);
  validate_together(spec, form);
  RotationPlan plan;
  KernelClass& kernel_class = plan.kernel_class;
  kernel_class.layout = spec.layout;
  kernel_class.layout_out = spec.layout_out.value_or(spec.layout);
  kernel_class.dtype = spec.dtype;
  kernel_class.negate_sin = spec.direction == Direction::adjoint || spec.direction == Direction::inverse;
  // In fp32 the three are one.
  const bool parity = spec.rounding != Rounding::exact;
  kernel_class.rounding = parity && spec.dtype == DType::fp32 ? Rounding::p3 : spec.rounding;
  kernel_class.rotary_dim = static_cast<std::uint32_t>(spec.rotary_dim);
  kernel_class.form = form;
  if (form.angles == AngleSource::computed) kernel_class.form.table_dtype = DType::fp32;
  lower_operands(spec, form, plan);
  if (!kernel_class.rotates()) {
    lower_nothing_that_rotates(plan);
    return plan;
  }
  lower_axes(spec, form, kernel_class);
  if (form.angles == AngleSource::computed) {
    lower_frequencies(spec, plan);
  } else {
    lower_table(spec, form, kernel_class);
  }
  return plan;
}

}  // namespace ropejit::internal
