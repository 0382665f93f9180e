#include "spec/lower.hpp"

#include <fmt/format.h>

#include <utility>

#include "spec/frequencies.hpp"
#include "spec/names.hpp"

namespace ropejit::internal {
namespace {

PlanOperand lower_operand(const Operand& operand) {
  return PlanOperand{static_cast<std::uint32_t>(operand.heads), static_cast<std::uint32_t>(operand.head_dim),
                     static_cast<std::uint32_t>(operand.first_lane)};
}

}  // namespace

RotationPlan lower(const RopeSpec& spec, const LaunchForm& form) {
  spec.validate();
  require_enum(form.placement, "placement");
  require_enum(form.strides, "strides");
  require_enum(form.positions, "positions");
  require_enum(form.angles, "angles");
  require_enum(form.table_dtype, "table_dtype");
  if (form.angles == AngleSource::radians && form.table_dtype != DType::fp32) {
    throw field_error(ErrorCode::invalid_argument, "table_dtype", to_string(form.table_dtype), "fp32 for radians");
  }

  const Layout layout_out = spec.layout_out.value_or(spec.layout);
  if (layout_out != spec.layout && form.placement == Placement::in_place) {
    throw field_error(ErrorCode::unsupported, "layout_out",
                      fmt::format("{} with layout {} in place", to_string(layout_out), to_string(spec.layout)),
                      "another layout out of place, or the same");
  }
  const bool divides = spec.direction == Direction::inverse;
  const bool unscaled = spec.direction == Direction::shift;
  if ((divides || unscaled) && form.angles != AngleSource::computed) {
    // Only whoever made the table knows what A is in it.
    throw field_error(ErrorCode::unsupported, "direction", to_string(spec.direction),
                      "forward or adjoint for cos and sin from the caller");
  }
  Frequencies data = frequencies(spec);
  if (divides) data.attention_scale = 1.0 / data.attention_scale;
  if (unscaled) data.attention_scale = 1.0;
  RotationPlan plan;
  KernelClass& kernel_class = plan.kernel_class;
  kernel_class.layout = spec.layout;
  kernel_class.dtype = spec.dtype;
  kernel_class.layout_out = layout_out;
  kernel_class.negate_sin = spec.direction == Direction::adjoint || divides;
  kernel_class.scaled = data.attention_scale != 1.0;
  kernel_class.rotary_dim = static_cast<std::uint32_t>(spec.rotary_dim);
  kernel_class.q = lower_operand(spec.q);
  if (spec.k) kernel_class.k = lower_operand(*spec.k);
  kernel_class.placement = form.placement;
  kernel_class.strides = form.strides;
  kernel_class.positions = form.positions;
  plan.inv_freq = std::move(data.inv_freq);
  if (form.angles == AngleSource::computed) {
    plan.steps = std::move(data.steps);
    plan.attention_scale = data.attention_scale;
  } else {
    // The table is all there is to know, its scale included.
    kernel_class.angles = form.angles;
    kernel_class.table_dtype = form.table_dtype;
    kernel_class.scaled = false;
  }
  return plan;
}

}  // namespace ropejit::internal
