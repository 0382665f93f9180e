#include "hf/rope_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "spec/scaling_rules.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

// Read whatever the rule: by this library, or by models in what they do beside the rotation. "interleaved" and "main"
// and the like stand in published files.
constexpr std::string_view kAlways[] = {
    "interleaved",
    "llama_4_scaling_beta",
    "max_position_embeddings",
    "mrope_interleaved",
    "mrope_section",
    "rope_interleaved",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "type",
    "xdrope_section",
};

// Options of vLLM's and of our own dictionaries, which transformers does not have.
constexpr std::string_view kNotOfTransformers[] = {"attn_factor", "extrapolation_factor", "scale_softmax"};

bool is_one_of(const auto& table, std::string_view key) {
  return std::find(std::begin(table), std::end(table), key) != std::end(table);
}

std::string rule_of(const ObjectReader& dict) {
  for (const char* key : {"rope_type", "type"}) {
    if (const auto name = dict.find_string(key, "a string")) return *name;
  }
  return "default";
}

// The name of the rule that reads a dictionary whose type is `name`.
std::string_view reader_of(std::string_view name, const HfFamily& family) {
  if (name == "su" || (name == "yarn" && family.yarn_is_longrope)) return "longrope";
  if (name == "mrope") return "default";
  if (name == "xdrope") return "dynamic";
  return name;
}

bool is_read(std::string_view rule, std::string_view key, const HfFamily& family) {
  if (is_one_of(kAlways, key)) return true;
  if (rule == "dynamic" && key == "alpha") return true;
  // Hunyuan's files list yarn's options with dynamic.
  if (rule == "dynamic" && family.alpha_is_ntk) rule = "yarn";
  if (rule == "dynamic" && key == "original_max_position_embeddings") return true;
  const ScalingRule* known = find_scaling_rule(rule);
  if (known == nullptr) return true;
  if (rule == "longrope" && (key == "short_mscale" || key == "long_mscale")) return family.longrope_mscales;
  if (rule != "deepseek_yarn" && is_one_of(kNotOfTransformers, key)) return false;
  return is_one_of(known->keys(), key) || (rule == "yarn" && family.alpha_is_ntk && key == "factor");
}

void add_unread(const ObjectReader& dict, const HfFamily& family, std::map<std::string, std::string>& lines) {
  const std::string name = rule_of(dict);
  const std::string_view rule = reader_of(name, family);
  for (const auto& member : dict.object()) {
    const std::string key = llvm::StringRef(member.first).str();
    if (member.second.getAsObject() != nullptr || member.second.getAsNull() || is_read(rule, key, family)) continue;
    const std::string field = excerpt(dict.path(key));
    lines[field] = fmt::format("{}: found {}, which {} does not read", field, describe(member.second), rule);
  }
}

}  // namespace

std::vector<std::string> unread_rope_keys(const ObjectReader& config, const HfFamily& family) {
  std::map<std::string, std::string> lines;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const std::optional<ObjectReader> dict = config.find_object(key);
    if (!dict) continue;
    add_unread(*dict, family, lines);
    for (const auto& member : dict->object()) {
      const std::string kind = llvm::StringRef(member.first).str();
      if (member.second.getAsObject() != nullptr) add_unread(dict->get_object(kind), family, lines);
    }
  }
  std::vector<std::string> result;
  for (auto& [field, line] : lines) result.push_back(std::move(line));
  return result;
}

}  // namespace ropejit::internal
