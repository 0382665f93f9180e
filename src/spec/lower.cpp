#include "spec/lower.hpp"

#include <fmt/format.h>

#include <bit>
#include <utility>

#include "spec/attention_scale.hpp"
#include "spec/axes.hpp"
#include "spec/frequencies.hpp"
#include "spec/names.hpp"
#include "support/usual_arithmetic.hpp"

namespace ropejit::internal {
namespace {

void validate_form(const LaunchForm& form) {
  require_enum(form.placement, "placement");
  require_enum(form.strides, "strides");
  require_enum(form.positions, "positions");
  require_enum(form.angles, "angles");
  require_enum(form.table_dtype, "table_dtype");
  require_enum(form.padding, "padding");
  require_enum(form.context_parallel, "context_parallel");
  require_enum(form.k_rows, "k_rows");
  if (form.angles == AngleSource::radians && form.table_dtype != DType::fp32) {
    throw field_error(ErrorCode::invalid_argument, "table_dtype", to_string(form.table_dtype), "fp32 for radians");
  }
}

bool has_ids(PositionSource positions) {
  return positions == PositionSource::ids32 || positions == PositionSource::ids64;
}

// What spec and form say together.
void validate_together(const RopeSpec& spec, const LaunchForm& form) {
  if (form.k_rows != CacheRows::none && !spec.k) {
    throw field_error(ErrorCode::invalid_argument, "k_rows", to_string(form.k_rows), "none for a spec without k");
  }
  if (form.context_parallel != ContextParallel::none && has_ids(form.positions)) {
    throw field_error(ErrorCode::invalid_argument, "context_parallel", to_string(form.context_parallel),
                      fmt::format("none with positions {}, which say where each token is", to_string(form.positions)));
  }
}

PlanOperand lower_operand(const Operand& operand, const char* name, const RopeSpec& spec, Placement placement) {
  const DType dtype_out = operand.dtype_out.value_or(spec.dtype);
  if (placement == Placement::in_place && dtype_out != spec.dtype) {
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}.dtype_out", name), to_string(dtype_out),
                      fmt::format("{} in place, or another out of place", to_string(spec.dtype)));
  }
  return {static_cast<std::uint32_t>(operand.heads), static_cast<std::uint32_t>(operand.head_dim),
          static_cast<std::uint32_t>(operand.first_lane), placement, dtype_out};
}

void lower_operands(const RopeSpec& spec, const LaunchForm& form, KernelClass& kernel_class) {
  kernel_class.q = lower_operand(spec.q, "q", spec, form.placement);
  if (!spec.k) return;
  const bool to_cache = form.k_rows != CacheRows::none;
  kernel_class.k = lower_operand(*spec.k, "k", spec, to_cache ? Placement::out_of_place : form.placement);
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
  kernel_class.angles = form.angles;
  kernel_class.table_dtype = form.table_dtype;
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
  kernel_class.strides = form.strides;
  kernel_class.positions = form.positions;
  kernel_class.context_parallel = form.context_parallel;
  kernel_class.padding = form.padding;
  kernel_class.k_rows = form.k_rows;
  kernel_class.counted = form.counted;
  kernel_class.overlaps_previous = form.overlaps_previous;
  lower_operands(spec, form, kernel_class);
  lower_axes(spec, form, kernel_class);
  if (form.angles == AngleSource::computed) {
    lower_frequencies(spec, plan);
  } else {
    lower_table(spec, form, kernel_class);
  }
  return plan;
}

}  // namespace ropejit::internal
