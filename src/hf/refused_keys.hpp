// Keys of a config.json that make the rotation another one than its family's, and are refused.
#pragma once

#include <string_view>

#include "hf/families.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// Throws Error{unsupported} for a key of the language model that makes its rotation depend on the layer, or on
/// something that this version does not read, or that turns it off.
void refuse_hf_keys(const ObjectReader& config, const HfFamily& family);

/// The same for keys of any config of the model that no family has, and behind which another function stands: ALiBi,
/// FoPE, xPos, layers that do not rotate, other lanes.
void refuse_hidden_functions(const ObjectReader& config, const HfFamily& family);

/// Null, false, an empty text, array or object.
bool says_nothing(const llvm::json::Value& value);

/// A key that refuse_hidden_functions looks at.
bool names_hidden_function(std::string_view key);

}  // namespace ropejit::internal
