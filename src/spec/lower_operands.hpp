// The operands of a plan: their stages in order, what these are told, and their stores.
#pragma once

#include "spec/plan.hpp"

namespace ropejit::internal {

/// Fills in plan.kernel_class.operands and plan.constants. Spec and form are valid by themselves; throws
/// Error{invalid_argument} where an operand cannot be written as the form says.
void lower_operands(const RopeSpec& spec, const LaunchForm& form, RotationPlan& plan);

}  // namespace ropejit::internal
