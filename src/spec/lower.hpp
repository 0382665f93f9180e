// The compiler's front end: all knowledge of models ends here. Pure.
#pragma once

#include "spec/plan.hpp"

namespace ropejit::internal {

/// Validates `spec` (throws Error{invalid_argument}) and lowers it for `form`. Throws Error{unsupported} where its
/// scaling depends on a length that it does not give.
RotationPlan lower(const RopeSpec& spec, const LaunchForm& form);

}  // namespace ropejit::internal
