// The one shape of an error about a field: "rope_scaling.factor: found -2, allowed: a finite number above 0".
#pragma once

#include <string>
#include <string_view>

#include "ropejit/error.hpp"

namespace ropejit::internal {

/// `found` must be fit for one line already (support/text.hpp). Stage "spec".
Error field_error(ErrorCode code, std::string_view field, std::string_view found, std::string_view allowed);

/// "num_attention_heads: missing, allowed: an integer from 1 to 65,536", a parse_error.
Error missing_field(std::string_view field, std::string_view allowed);

}  // namespace ropejit::internal
