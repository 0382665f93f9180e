#include "spec/hf_unread_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "ropejit/error.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

// --- What is refused

enum class When { set, on, off, interleaves, halves };

struct Hidden {
  std::string_view key;  // with a final '*': every key that begins so
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

bool begins(std::string_view text, std::string_view with) { return text.substr(0, with.size()) == with; }

bool matches(std::string_view key, std::string_view pattern) {
  if (pattern.back() != '*') return key == pattern;
  pattern.remove_suffix(1);
  return begins(key, pattern);
}

bool says_nothing(const llvm::json::Value& value) {
  const llvm::json::Array* array = value.getAsArray();
  const llvm::json::Object* object = value.getAsObject();
  return value.getAsNull() || value.getAsBoolean() == false || value.getAsString() == llvm::StringRef() ||
         (array != nullptr && array->empty()) || (object != nullptr && object->empty());
}

// Whether the value of a key of the table asks for what the family does not do.
bool asks_for_other(When when, const llvm::json::Value& value, const HfFamily& family) {
  const bool on = value.getAsBoolean() == true || value.getAsNumber().value_or(0) != 0;
  const bool off = value.getAsBoolean() == false || value.getAsNumber() == 0.0;
  const bool neighbours = family.deinterleaves || family.layout == Layout::interleaved;
  switch (when) {
    case When::set: return !says_nothing(value);
    case When::on: return on;
    case When::off: return off;
    case When::interleaves: return on && !neighbours;
    case When::halves: return (off && !neighbours) || (on && neighbours);
  }
  return true;
}

// --- What is warned of

constexpr std::string_view kOfRotation[] = {
    "alibi", "fope", "mscale", "nope", "position_embedding", "rope", "rotary", "theta", "xpos", "yarn",
};

constexpr std::string_view kOfHeads[] = {
    "attention_groups", "head_dim", "head_size", "heads", "kv_channels", "n_head", "query_group", "headdim",
};

// Heads of parts that do not rotate, or of what comes after the layers.
constexpr std::string_view kOtherHeads[] = {
    "audio",   "conf_", "conv",   "cross_", "decoder_", "depth", "encoder_", "image", "index", "linear",
    "lm_head", "mamba", "medusa", "moe",    "mtp",      "nextn", "pad_head", "ssm",   "visi",
};

constexpr std::string_view kSayNothing[] = {
    "max_position_embeddings", "original_max_position_embeddings", "pruned_heads", "use_3d_rope", "v_head_dim",
};

template <class Table>
bool has_word_of(const Table& table, std::string_view text) {
  return std::any_of(std::begin(table), std::end(table),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

std::string in_small_letters(std::string_view key) {
  std::string text(key);
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool speaks_of_it(std::string_view key) {
  if (std::find(std::begin(kSayNothing), std::end(kSayNothing), key) != std::end(kSayNothing)) return false;
  std::string text = in_small_letters(key);
  for (const std::string_view other : {"propert", "europe"}) {
    for (std::size_t at; (at = text.find(other)) != std::string::npos;) text.erase(at, other.size());
  }
  return has_word_of(kOfRotation, text) || (has_word_of(kOfHeads, text) && !has_word_of(kOtherHeads, text));
}

// The value is one that a spec has where a key of that name would put it.
bool is_in_spec(std::string_view key, double value, const RopeSpec& spec) {
  const auto has = [&](std::string_view word) { return key.find(word) != std::string_view::npos; };
  const double head_dim = static_cast<double>(spec.q.head_dim);
  const double lanes = static_cast<double>(spec.rotary_dim);
  if (has("head_dim") || has("headdim") || has("head_size") || has("kv_channels")) return value == head_dim;
  if (has("kv") || has("key_value") || has("group")) return spec.k && value == static_cast<double>(spec.k->heads);
  if (has_word_of(kOfHeads, key)) return value == static_cast<double>(spec.q.heads);
  if (has("theta") || has("base")) return value == spec.theta;
  if (has("dim")) return value == lanes;
  if (has("pct") || has("perc") || has("fraction") || has("partial")) return value * head_dim == lanes;
  return has("factor") && value == 1 && std::holds_alternative<NoScaling>(spec.scaling);
}

class UnreadKeys {
 public:
  explicit UnreadKeys(const HfReading& reading) : reading_(reading) {}

  std::vector<std::string> lines() const {
    std::vector<std::string> result;
    std::vector<const llvm::json::Object*> seen;
    for (const ObjectReader& config : reading_.configs) {
      if (std::find(seen.begin(), seen.end(), &config.object()) != seen.end()) continue;
      seen.push_back(&config.object());
      std::map<std::string, std::string> sorted;
      for (const auto& member : config.object()) {
        const std::string key = llvm::StringRef(member.first).str();
        if (is_told(config, key, member.second)) sorted[key] = line(config, key, member.second);
      }
      for (auto& [key, text] : sorted) result.push_back(std::move(text));
    }
    return result;
  }

 private:
  bool is_told(const ObjectReader& config, const std::string& key, const llvm::json::Value& value) const {
    if (says_nothing(value) || !speaks_of_it(key) || reading_.log.has(config.object(), key)) return false;
    // A switch that was not refused stands as it does in what is built.
    const bool is_switch = value.getAsBoolean() || value.getAsNumber();
    if (is_switch &&
        std::any_of(std::begin(kHidden), std::end(kHidden), [&](const Hidden& row) { return matches(key, row.key); })) {
      return false;
    }
    const ObjectReader& inner = reading_.configs.back();
    const llvm::json::Value* same = inner.peek(key);
    if (&inner.object() != &config.object() && same != nullptr && *same == value) return false;
    const auto number = value.getAsNumber();
    const std::string text = in_small_letters(key);
    return !number || std::none_of(reading_.specs.begin(), reading_.specs.end(),
                                   [&](const RopeSpec& spec) { return is_in_spec(text, *number, spec); });
  }

  static std::string line(const ObjectReader& config, const std::string& key, const llvm::json::Value& value) {
    return fmt::format("{}: found {}, which nothing reads in a model of this type", config.path(key), describe(value));
  }

  const HfReading& reading_;
};

}  // namespace

void refuse_hidden_functions(const ObjectReader& config, const HfFamily& family) {
  std::map<std::string_view, const llvm::json::Value*> found;
  for (const auto& member : config.object()) {
    const llvm::StringRef key = member.first;
    const std::string_view name(key.data(), key.size());
    for (const Hidden& row : kHidden) {
      if (row.key == "no_rope_layer_interval" && family.no_rope_list) continue;
      if (matches(name, row.key) && asks_for_other(row.when, member.second, family)) found[name] = &member.second;
    }
  }
  if (found.empty()) return;
  const auto& [name, value] = *found.begin();
  throw field_error(ErrorCode::unsupported, config.path(name), describe(*value),
                    "absent: with it a model of this type does not rotate as this version builds it");
}

std::vector<std::string> unread_keys(const HfReading& reading) { return UnreadKeys(reading).lines(); }

}  // namespace ropejit::internal
