// Whether the operands of a spec are in range, each by itself and with the rest.
#pragma once

#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// Throws Error{invalid_argument} naming the first field of q, k or v that is out of range, rotary_dim among them.
void validate_operands(const RopeSpec& spec);

}  // namespace ropejit::internal
