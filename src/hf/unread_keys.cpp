// Keys of a config.json, and of its rope dictionaries, that nothing reads.
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>
#include <llvm/ADT/StringSwitch.h>

#include <map>

#include "hf/keys.hpp"
#include "spec/scaling_rules.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr llvm::StringLiteral kOfRotation[] = {
    "alibi", "fope", "mscale", "nope", "position_embedding", "rope", "rotary", "theta", "xpos", "yarn",
};

constexpr llvm::StringLiteral kOfHeads[] = {
    "attention_groups", "head_dim", "head_size", "heads", "kv_channels", "n_head", "query_group", "headdim",
};

// Heads of parts that do not rotate, or of what comes after the layers.
constexpr llvm::StringLiteral kOtherHeads[] = {
    "audio",   "conf_", "conv",   "cross_", "decoder_", "depth", "encoder_", "image", "index", "linear",
    "lm_head", "mamba", "medusa", "moe",    "mtp",      "nextn", "pad_head", "ssm",   "visi",
};

constexpr llvm::StringLiteral kSayNothing[] = {
    "max_position_embeddings", "original_max_position_embeddings", "pruned_heads", "use_3d_rope", "v_head_dim",
};

bool contains_any_of(llvm::StringRef text, llvm::ArrayRef<llvm::StringLiteral> parts) {
  return llvm::any_of(parts, [&](llvm::StringRef part) { return text.contains(part); });
}

bool speaks_of_it(llvm::StringRef key) {
  if (llvm::is_contained(kSayNothing, key)) return false;
  std::string text = key.lower();
  for (const std::string_view other : {"propert", "europe"}) {
    for (std::size_t at; (at = text.find(other)) != std::string::npos;) text.erase(at, other.size());
  }
  return contains_any_of(text, kOfRotation) || (contains_any_of(text, kOfHeads) && !contains_any_of(text, kOtherHeads));
}

// The value is one that a spec has where a key of that name would put it.
bool is_in_spec(llvm::StringRef key, double value, const RopeSpec& spec) {
  const auto has = [&](llvm::StringRef part) { return key.contains(part); };
  const double head_dim = static_cast<double>(spec.q.head_dim);
  const double lanes = static_cast<double>(spec.rotary_dim);
  if (has("head_dim") || has("headdim") || has("head_size") || has("kv_channels")) return value == head_dim;
  if (has("kv") || has("key_value") || has("group")) return spec.k && value == static_cast<double>(spec.k->heads);
  if (contains_any_of(key, kOfHeads)) return value == static_cast<double>(spec.q.heads);
  if (has("theta") || has("base")) return value == spec.theta;
  if (has("dim")) return value == lanes;
  if (has("pct") || has("perc") || has("fraction") || has("partial")) return value * head_dim == lanes;
  return has("factor") && value == 1 && std::holds_alternative<NoScaling>(spec.scaling);
}

bool is_told(const ObjectReader& config, const std::string& key, const llvm::json::Value& value,
             llvm::ArrayRef<ObjectReader> configs, const KeyLog& log, llvm::ArrayRef<RopeSpec> specs) {
  if (says_nothing(value) || !speaks_of_it(key) || log.has(config.object(), key)) return false;
  // A switch that was not refused stands as it does in what is built.
  if ((value.getAsBoolean() || value.getAsNumber()) && names_hidden_function(key)) return false;
  const ObjectReader& inner = configs.back();
  const llvm::json::Value* same = inner.peek(key);
  if (&inner.object() != &config.object() && same != nullptr && *same == value) return false;
  const auto number = value.getAsNumber();
  const std::string text = llvm::StringRef(key).lower();
  return !number || llvm::none_of(specs, [&](const RopeSpec& spec) { return is_in_spec(text, *number, spec); });
}

// Read whatever the rule: by this library, or by models in what they do beside the rotation. "interleaved" and "main"
// and the like stand in published files.
constexpr llvm::StringLiteral kAlways[] = {
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
constexpr llvm::StringLiteral kNotOfTransformers[] = {"attn_factor", "extrapolation_factor", "scale_softmax"};

std::string rule_of(const ObjectReader& dict) {
  for (const char* key : {"rope_type", "type"}) {
    if (const auto name = dict.find_string(key, "a string")) return *name;
  }
  return "default";
}

// The name of the rule that reads a dictionary whose type is `name`.
llvm::StringRef reader_of(llvm::StringRef name, const HfFamily& family) {
  return llvm::StringSwitch<llvm::StringRef>(name)
      .Case("su", "longrope")
      .Case("yarn", family.yarn_is_longrope ? "longrope" : "yarn")
      .Case("mrope", "default")
      .Case("xdrope", "dynamic")
      .Default(name);
}

bool is_read(llvm::StringRef rule, llvm::StringRef key, const HfFamily& family) {
  if (llvm::is_contained(kAlways, key)) return true;
  if (rule == "dynamic" && key == "alpha") return true;
  // Hunyuan's files list yarn's options with dynamic.
  if (rule == "dynamic" && family.alpha_is_ntk) rule = "yarn";
  if (rule == "dynamic" && key == "original_max_position_embeddings") return true;
  const ScalingRule* known = find_scaling_rule(rule);
  if (known == nullptr) return true;
  if (rule == "longrope" && (key == "short_mscale" || key == "long_mscale")) return family.longrope_mscales;
  if (rule != "deepseek_yarn" && llvm::is_contained(kNotOfTransformers, key)) return false;
  return llvm::is_contained(known->keys(), std::string_view(key)) ||
         (rule == "yarn" && family.alpha_is_ntk && key == "factor");
}

void add_unread(const ObjectReader& dict, const HfFamily& family, std::map<std::string, std::string>& lines) {
  const std::string name = rule_of(dict);
  const llvm::StringRef rule = reader_of(name, family);
  for (const auto& member : dict.object()) {
    const std::string key = llvm::StringRef(member.first).str();
    if (member.second.getAsObject() != nullptr || member.second.getAsNull() || is_read(rule, key, family)) continue;
    const std::string field = excerpt(dict.path(key));
    lines[field] = fmt::format("{}: found {}, which {} does not read", field, describe(member.second), rule.str());
  }
}

}  // namespace

std::vector<std::string> unread_keys(llvm::ArrayRef<ObjectReader> configs, const KeyLog& log,
                                     llvm::ArrayRef<RopeSpec> specs) {
  std::vector<std::string> result;
  llvm::SmallVector<const llvm::json::Object*, 3> seen;
  for (const ObjectReader& config : configs) {
    if (llvm::is_contained(seen, &config.object())) continue;
    seen.push_back(&config.object());
    std::map<std::string, std::string> sorted;
    for (const auto& member : config.object()) {
      const std::string key = llvm::StringRef(member.first).str();
      if (!is_told(config, key, member.second, configs, log, specs)) continue;
      sorted[key] = fmt::format("{}: found {}, which nothing reads in a model of this type", config.path(key),
                                describe(member.second));
    }
    for (auto& [key, text] : sorted) result.push_back(std::move(text));
  }
  return result;
}

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
