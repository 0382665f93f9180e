#include "spec/lower.hpp"

#include <fmt/format.h>

#include <bit>
#include <utility>

#include "spec/attention_scale.hpp"
#include "spec/axes.hpp"
#include "spec/frequencies.hpp"
#include "spec/lower_operands.hpp"
#include "spec/names.hpp"
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
  // What is written beside a cache has its rows.
  if (form.statistics_only && (form.k_rows != CacheRows::none || form.v_rows != CacheRows::none)) {
    throw field_error(ErrorCode::invalid_argument, "statistics_only", "true",
                      "false with k_rows, v_rows or k_beside, as nothing is stored");
  }
  if (form.grouped_q) validate_groups(spec, form);
  if (form.context_parallel != ContextParallel::none && has_ids(form.positions)) {
    throw field_error(ErrorCode::invalid_argument, "context_parallel", to_string(form.context_parallel),
                      fmt::format("none with positions {}, which say where each token is", to_string(form.positions)));
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
