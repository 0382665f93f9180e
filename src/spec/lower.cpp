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

bool is_computed(const std::optional<Norm>& norm) { return norm && norm->statistic == Statistic::computed; }

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
  if (form.context_parallel != ContextParallel::none && has_ids(form.positions)) {
    throw field_error(ErrorCode::invalid_argument, "context_parallel", to_string(form.context_parallel),
                      fmt::format("none with positions {}, which say where each token is", to_string(form.positions)));
  }
}

/// The stages of an operand, in order.
struct CollectStages {
  OperandName name;
  llvm::SmallVector<Stage, MostStages> stages;
  void number(const char*, const std::int64_t&, const IntRange&, bool) {}
  void dtype(const char*, const std::optional<DType>&) {}
  void norm(const char*, const std::optional<Norm>& value) {
    if (value) stages.push_back(Stage::norm);
  }
  void stage(const char*, const std::optional<bool>& value, Stage stage) {
    const bool is_usual = stage == Stage::rotate && name != OperandName::v;
    if (value.value_or(is_usual)) stages.push_back(stage);
  }
};

// fp32 values stay what they are where they are rounded to fp32.
PlanNorm lower_norm(const Norm& norm, const RopeSpec& spec, bool hands_out) {
  const bool narrow = spec.dtype != DType::fp32;
  const StatisticUse computed = hands_out ? StatisticUse::handed_out : StatisticUse::computed;
  return {norm.weight_dtype.value_or(spec.dtype), narrow && spec.round_after.norm, narrow && spec.round_after.weight,
          norm.statistic == Statistic::given ? StatisticUse::given : computed};
}

PlanOperand lower_operand(OperandName name, const char* word, const Operand& operand, const RopeSpec& spec,
                          const LaunchForm& form, CacheRows rows, bool is_beside) {
  const Placement placement = form.placement;
  PlanOperand lowered;
  lowered.name = name;
  lowered.heads = static_cast<std::uint32_t>(operand.heads);
  lowered.head_dim = static_cast<std::uint32_t>(operand.head_dim);
  lowered.first_lane = static_cast<std::uint32_t>(operand.first_lane);
  CollectStages collect{name, {}};
  visit_fields(operand, collect);
  lowered.stages = std::move(collect.stages);
  if (operand.norm) lowered.norm = lower_norm(*operand.norm, spec, form.norm_statistics);
  const bool apart = rows != CacheRows::none || name == OperandName::v;
  lowered.placement = apart ? Placement::out_of_place : placement;
  lowered.dtype_out = operand.dtype_out.value_or(spec.dtype);
  lowered.rows = rows;
  if (is_beside) lowered.beside = placement == Placement::in_place ? Beside::in_place : Beside::apart;
  if (lowered.writes_over_itself() && lowered.dtype_out != spec.dtype) {
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}.dtype_out", word), to_string(lowered.dtype_out),
                      fmt::format("{} in place, or another out of place", to_string(spec.dtype)));
  }
  if (lowered.writes_over_itself() && lowered.stages.empty()) {
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
    if (is_computed(operand.norm)) plan.eps[kernel_class.operands.size()] = static_cast<float>(operand.norm->eps);
    kernel_class.operands.push_back(lower_operand(name, word, operand, spec, form, rows, is_beside));
  };
  add(OperandName::q, "q", spec.q, CacheRows::none);
  if (spec.k) add(OperandName::k, "k", *spec.k, form.k_rows, form.k_beside);
  if (spec.v) add(OperandName::v, "v", *spec.v, form.v_rows);
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
  lower_axes(spec, form, kernel_class);
  if (form.angles == AngleSource::computed) {
    lower_frequencies(spec, plan);
  } else {
    lower_table(spec, form, kernel_class);
  }
  return plan;
}

}  // namespace ropejit::internal
