// What is said of keys that do not mean what their family's rotation is: some are refused, since with them it would be
// another one, and of others that nothing reads a person is told, since a key that is misspelt or dropped in silence
// changes a model without a word. Readers tell a KeyLog of all keys that they look at.
#pragma once

#include <llvm/ADT/ArrayRef.h>

#include <string>
#include <vector>

#include "hf/family.hpp"
#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// Throws Error{unsupported} for a key of the language model that makes its rotation depend on the layer, or on
/// something that this version does not read, or that turns it off.
void refuse_hf_keys(const ObjectReader& config, const HfFamily& family);

/// Throws likewise for keys of any config of the model that no family has, and behind which another function stands:
/// ALiBi, FoPE, xPos, layers that do not rotate, other lanes.
void refuse_hidden_functions(const ObjectReader& config, const HfFamily& family);

/// Whether refuse_hidden_functions looks at a key of that name.
bool names_hidden_function(llvm::StringRef key);

/// Whether the value is null, false, or an empty text, array or object.
bool says_nothing(const llvm::json::Value& value);

/// One line for each key whose name speaks of the rotation or of heads and that was not read, but for those that say
/// nothing or what the specs say too. In the order of the configs, then of the keys. `configs`: the whole model's
/// first, the language model's last; `log`: of the keys that were read; `specs`: what came of them, with the heads of
/// all ranks.
std::vector<std::string> unread_keys(llvm::ArrayRef<ObjectReader> configs, const KeyLog& log,
                                     llvm::ArrayRef<RopeSpec> specs);

/// One line for each key of the rope dictionaries that the rule in hand does not read: "rope_scaling.betafast: found
/// 32, which yarn does not read". The dictionaries must be valid.
std::vector<std::string> unread_rope_keys(const ObjectReader& config, const HfFamily& family);

}  // namespace ropejit::internal
