// Keys of a config.json that make the rotation another one than its family's.
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "hf/keys.hpp"
#include "ropejit/error.hpp"
#include "support/field_error.hpp"
#include "support/range.hpp"
#include "support/text.hpp"

namespace ropejit::internal {

bool says_nothing(const llvm::json::Value& value) {
  const llvm::json::Array* array = value.getAsArray();
  const llvm::json::Object* object = value.getAsObject();
  return value.getAsNull() || value.getAsBoolean() == false || value.getAsString() == llvm::StringRef() ||
         (array != nullptr && array->empty()) || (object != nullptr && object->empty());
}

namespace {

constexpr const char* kOneRotation = "a model whose layers share one rotation that this version builds";

enum class When { set, on, off, interleaves, halves };

struct Hidden {
  llvm::StringLiteral key;  // with a final '*': every key that begins so
  When when;
};

constexpr Hidden kHidden[] = {
    {"alibi", When::on},
    {"apply_rope", When::off},
    {"apply_rotary", When::off},
    {"axes_dim*", When::set},
    {"fope*", When::set},
    {"interleaved_rope", When::interleaves},
    {"is_neox_style", When::halves},
    {"layer_rope_thetas", When::set},
    {"no_rope", When::on},
    {"no_rope_layer_interval", When::set},
    {"nope", When::on},
    {"nope_*", When::set},
    {"partial_rotary_factors", When::set},
    {"rope", When::off},
    {"rope_interleaved", When::interleaves},
    {"rope_is_neox_style", When::halves},
    {"rope_thetas", When::set},
    {"rotary", When::off},
    {"rotary_emb_interleaved", When::interleaves},
    {"rotary_emb_scale_base", When::set},
    {"rotary_interleaved", When::interleaves},
    {"use_alibi", When::on},
    {"use_fope", When::on},
    {"use_nope", When::on},
    {"use_rope", When::off},
    {"use_rope_embeddings", When::off},
    {"use_rotary", When::off},
    {"use_rotary_emb", When::off},
    {"use_rotary_embedding", When::off},
    {"use_rotary_embeddings", When::off},
    {"use_rotary_position_embeddings", When::off},
    {"use_xpos", When::on},
    {"yarn_only_types", When::set},
};

bool matches(llvm::StringRef key, llvm::StringRef pattern) {
  return pattern.consume_back("*") ? key.starts_with(pattern) : key == pattern;
}

bool reads_neighbours(const HfFamily& family) { return family.deinterleaves || family.layout == Layout::interleaved; }

// Whether the value of a key of the table asks for what the family does not do.
bool asks_for_other(When when, const llvm::json::Value& value, const HfFamily& family) {
  const bool on = value.getAsBoolean() == true || value.getAsNumber().value_or(0) != 0;
  const bool off = value.getAsBoolean() == false || value.getAsNumber() == 0.0;
  const bool neighbours = reads_neighbours(family);
  switch (when) {
    case When::set: return !says_nothing(value);
    case When::on: return on;
    case When::off: return off;
    case When::interleaves: return on && !neighbours;
    case When::halves: return (off && !neighbours) || (on && neighbours);
  }
  return true;
}

// A key that, where it is set, makes the rotation depend on the layer or on something this version does not read.
constexpr llvm::StringLiteral kUnsupportedKeys[] = {
    "compress_rope_theta", "force_rope",     "global_head_dim",  "global_rope_theta", "layer_rope_theta",
    "local_rope_theta",    "no_rope_layers", "per_layer_config", "qk_rope_head_dim",  "rope_local_base_freq",
    "rope_ratio",          "swa_rope_theta", "xdrope_section",
};

// Whether the family gives the key a meaning that this version knows.
bool is_known(const HfFamily& family, llvm::StringRef key) {
  if (has_word(family.own_keys, key)) return true;
  if (key == "qk_rope_head_dim") return family.latent;
  if (key == "no_rope_layers") return family.no_rope_list;
  if (key == family.layer_thetas_key) return true;
  return family.two_thetas && (key == family.two_thetas->full_key || key == family.two_thetas->local_key);
}

// A model of the family that has no rotary embedding: its config turns it off, or does not turn it on.
void require_rotation(const ObjectReader& config, const char* key, llvm::StringRef wanted) {
  const llvm::StringRef allowed = wanted.empty() ? "true" : wanted;
  config.pass_over({key});
  const llvm::json::Value* value = config.object().get(key);
  if (value == nullptr) throw missing_field(config.path(key), allowed);
  const bool on = wanted.empty() ? value->getAsBoolean() == true : value->getAsString() == wanted;
  if (on) return;
  throw field_error(ErrorCode::unsupported, config.path(key),
                    fmt::format("{}, with which no layer rotates", describe(*value)), allowed);
}

void check_interleave_flag(const ObjectReader& config, const HfFamily& family) {
  const std::optional<bool> flag = config.find_bool("rope_interleave");
  if (!flag || family.interleave_flag) return;
  const bool neighbours = reads_neighbours(family);
  if (*flag == neighbours || (neighbours && !family.deinterleaves)) return;
  throw field_error(ErrorCode::unsupported, config.path("rope_interleave"), *flag ? "true" : "false", kOneRotation);
}

void check_position_kind(const ObjectReader& config, const HfFamily& family) {
  static constexpr const char* kKey = "position_embedding_type";
  const std::optional<std::string> kind = config.find_string(kKey, "rope, rotary");
  if (!kind) return;
  // Cohere's name for neighbouring lanes; ModernBERT's files have a key that its code does not know.
  const bool other_name = (*kind == "rope_gptj" && family.layout == Layout::interleaved) ||
                          (*kind == "absolute" && family.positions_unnamed);
  if (*kind == "rope" || *kind == "rotary" || other_name) return;
  throw field_error(ErrorCode::unsupported, config.path(kKey), quoted(*kind), "rope, rotary");
}

// A name that the family's code does not read, with another value than its own name has.
void require_own_name(const ObjectReader& config, const char* key, const char* own, double otherwise) {
  const std::optional<double> value = config.find_number(key, PositiveRange{});
  if (!value || *value == config.find_number(own, PositiveRange{}).value_or(otherwise)) return;
  throw field_error(ErrorCode::unsupported, config.path(key), fmt::format("{}", *value),
                    fmt::format("{}, which alone the code of this model type reads", own));
}

}  // namespace

void refuse_hf_keys(const ObjectReader& config, const HfFamily& family) {
  for (const llvm::StringRef key : kUnsupportedKeys) {
    const llvm::json::Value* value = config.peek(key);
    if (value == nullptr || value->getAsBoolean() == false || value->getAsNumber() == 0 || is_known(family, key))
      continue;
    throw field_error(ErrorCode::unsupported, config.path(key), describe(*value), kOneRotation);
  }
  check_interleave_flag(config, family);
  if (family.neox_fraction != 0) {
    require_own_name(config, "rope_theta", "rotary_emb_base", 10000);
    require_own_name(config, "partial_rotary_factor", "rotary_pct", family.neox_fraction);
  }
  if (*family.rotates_if_key != '\0') require_rotation(config, family.rotates_if_key, family.rotates_if_value);
  check_position_kind(config, family);
}

bool names_hidden_function(llvm::StringRef key) {
  return llvm::any_of(kHidden, [&](const Hidden& row) { return matches(key, row.key); });
}

void refuse_hidden_functions(const ObjectReader& config, const HfFamily& family) {
  std::map<std::string_view, const llvm::json::Value*> found;
  for (const auto& member : config.object()) {
    const llvm::StringRef name = member.first;
    for (const Hidden& row : kHidden) {
      if (row.key == "no_rope_layer_interval" && family.no_rope_list) continue;
      if (has_word(family.own_keys, row.key)) continue;
      if (matches(name, row.key) && asks_for_other(row.when, member.second, family)) found[name] = &member.second;
    }
  }
  if (found.empty()) return;
  const auto& [name, value] = *found.begin();
  throw field_error(ErrorCode::unsupported, config.path(name), describe(*value),
                    "absent: with it a model of this type does not rotate as this version builds it");
}

}  // namespace ropejit::internal
