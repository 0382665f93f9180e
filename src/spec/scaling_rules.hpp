// The scaling rules as text: one row a rule, from its name to its reader, with what validates and prints it. Their
// fields: spec/scaling_fields.hpp.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct ScalingRule {
  std::string_view name;                      ///< Hugging Face's rope_type
  std::vector<std::string_view> (*keys)();    ///< every key of its dictionary
  Scaling (*read)(const ObjectReader& dict);  ///< throws Error naming the key that is missing or out of range
};

/// The rules of this version, in the order in which messages list them.
std::span<const ScalingRule> scaling_rules();

/// The names of all rules: "default, linear, dynamic, ...".
std::string scaling_rule_names();

/// The rule of that name; null for a name that this version does not build.
const ScalingRule* find_scaling_rule(std::string_view name);

/// Throws Error{unsupported} naming the type and listing the rules: "rope_scaling.rope_type: found "x", ...".
const ScalingRule& require_scaling_rule(std::string_view name, std::string_view field);

/// The name of the rule in hand: "default", "yarn".
std::string_view scaling_rule_name(const Scaling& scaling);

/// The numbers of the array `key`. Throws Error{parse_error} where it is missing or no array of numbers,
/// Error{invalid_argument} naming the first that is out of range: "rope_scaling.short_factor[3]".
std::vector<double> read_number_list(const ObjectReader& dict, std::string_view key, const PositiveRange& range);

/// Checks spec.scaling, with the rest of the spec that it depends on, which must be valid. Throws
/// Error{invalid_argument} naming the first field out of range, as "rope_scaling.<key>".
void validate_scaling(const RopeSpec& spec);

/// The dictionary of the rule: {"rope_type":"linear","factor":8}.
std::string scaling_to_json(const Scaling& scaling);

/// The rule for people: "linear(factor 8)"; "none" without scaling. Fields at their defaults are left out.
std::string scaling_to_string(const Scaling& scaling);

}  // namespace ropejit::internal
