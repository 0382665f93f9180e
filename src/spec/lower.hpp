// The compiler's front end, where all knowledge of models ends. It is pure.
#pragma once

#include "spec/plan.hpp"

namespace ropejit::internal {

/// Validates `spec` and lowers it for `form`. Where the scaling depends on a length that the spec does not give, the
/// plan has no steps (needs_length). Throws Error{invalid_argument} for what is out of range or does not go together.
RotationPlan lower(const RopeSpec& spec, const LaunchForm& form);

}  // namespace ropejit::internal
