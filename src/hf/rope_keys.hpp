// Keys of a rope dictionary that nothing reads: a misspelt one changes a model without a word.
#pragma once

#include <string>
#include <vector>

#include "hf/families.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// One line for each key that the rule in hand does not read: "rope_scaling.betafast: found 32, which yarn does not
/// read". The dictionaries must be valid.
std::vector<std::string> unread_rope_keys(const ObjectReader& config, const HfFamily& family);

}  // namespace ropejit::internal
