#include "spec/lower.hpp"

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

  Frequencies data = frequencies(spec);
  RotationPlan plan;
  KernelClass& kernel_class = plan.kernel_class;
  kernel_class.layout = spec.layout;
  kernel_class.dtype = spec.dtype;
  kernel_class.negate_sin = spec.direction == Direction::adjoint;
  kernel_class.scaled = data.attention_scale != 1.0;
  kernel_class.rotary_dim = static_cast<std::uint32_t>(spec.rotary_dim);
  kernel_class.q = lower_operand(spec.q);
  if (spec.k) kernel_class.k = lower_operand(*spec.k);
  kernel_class.placement = form.placement;
  kernel_class.strides = form.strides;
  kernel_class.positions = form.positions;
  plan.steps = std::move(data.steps);
  plan.inv_freq = std::move(data.inv_freq);
  plan.attention_scale = data.attention_scale;
  return plan;
}

}  // namespace ropejit::internal
