// The scaling rules as text: one row a rule, from its name to its reader, with what validates and prints it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ropejit/scaling.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct ScalingRule {
  std::string_view name;                   ///< Hugging Face's rope_type
  std::span<const std::string_view> keys;  ///< every key of its dictionary
  Scaling (*read)(const ObjectReader&);    ///< throws Error naming the key that is missing or out of range
};

/// The rules of this version, in the order in which messages list them.
std::span<const ScalingRule> scaling_rules();

/// "default, linear, llama3".
std::string scaling_rule_names();

/// Null for a name this version does not build.
const ScalingRule* find_scaling_rule(std::string_view name);

/// Throws Error{unsupported} naming the type and listing the rules: "rope_scaling.rope_type: found "yarn", ...".
const ScalingRule& require_scaling_rule(std::string_view name, std::string_view field);

/// Throws Error{invalid_argument} naming the first field out of range, as "rope_scaling.<key>".
void validate_scaling(const Scaling& scaling);

/// The dictionary of the rule: {"rope_type":"linear","factor":8}.
std::string scaling_to_json(const Scaling& scaling);

/// For people: "linear(factor 8)"; "none" without scaling.
std::string scaling_to_string(const Scaling& scaling);

}  // namespace ropejit::internal
