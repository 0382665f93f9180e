#include "hf/unread_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "hf/refused_keys.hpp"

namespace ropejit::internal {
namespace {

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
    if ((value.getAsBoolean() || value.getAsNumber()) && names_hidden_function(key)) return false;
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

std::vector<std::string> unread_keys(const HfReading& reading) { return UnreadKeys(reading).lines(); }

}  // namespace ropejit::internal
