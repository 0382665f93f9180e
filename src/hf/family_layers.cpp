// Families whose layers have heads or kinds of their own.
#include "hf/family_rules.hpp"

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

// What files of transformers 5 say of layers that differ from the rest: Gemma 4's full ones, which are all alike.
HfHeads of_differing_layers(const ObjectReader& layers, HfHeads usual) {
  std::optional<HfHeads> heads;
  for (const auto& member : layers.object()) {
    const ObjectReader layer = layers.get_object(llvm::StringRef(member.first));
    const HfHeads found{layer.find_int("head_dim", kHeadDim).value_or(usual.head_dim),
                        layer.find_int("num_key_value_heads", kHeads).value_or(usual.kv_heads), usual.q_heads};
    if (heads && (heads->head_dim != found.head_dim || heads->kv_heads != found.kv_heads)) {
      throw field_error(ErrorCode::unsupported, layer.path("head_dim"),
                        fmt::format("{} and {} key heads", found.head_dim, found.kv_heads),
                        fmt::format("{} and {} as in another layer", heads->head_dim, heads->kv_heads));
    }
    heads = found;
  }
  return heads.value_or(usual);
}

const char* kind_of_ratio(const llvm::json::Value& ratio, const std::string& field) {
  const auto number = ratio.getAsNumber();
  if (number && *number == 0) return kSliding;
  if (number && *number == 4) return kSparse;
  if (number && *number == 128) return kHeavy;
  throw field_error(ErrorCode::invalid_argument, field, describe(ratio), "0, 4 or 128");
}

}  // namespace

// Falcon: multi_query counts unless new_decoder_architecture is set, and then num_kv_heads.
std::int64_t falcon_kv_heads(const ObjectReader& config, std::int64_t q_heads) {
  config.pass_over({"num_kv_heads"});
  const bool grouped_heads = config.find_bool("new_decoder_architecture").value_or(false);
  if (!grouped_heads && config.find_bool("multi_query").value_or(true)) return 1;
  return config.find_int("num_kv_heads", kHeads).value_or(q_heads);
}

// Gemma 4: full layers have heads of their own.
HfHeads gemma_4_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual) {
  if (kind != kFull) return usual;
  if (const auto layers = config.find_object("per_layer_config")) return of_differing_layers(*layers, usual);
  usual.head_dim = config.find_int("global_head_dim", kHeadDim).value_or(512);
  const bool own_heads = config.find_bool("attention_k_eq_v").value_or(false);
  if (own_heads) usual.kv_heads = config.find_int("num_global_key_value_heads", kHeads).value_or(usual.kv_heads);
  return usual;
}

// Laguna: each layer has its own number of query heads, which those of a kind share.
HfHeads laguna_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual) {
  static constexpr const char* kKey = "num_attention_heads_per_layer";
  const llvm::json::Value* heads_value = config.find(kKey);
  if (heads_value == nullptr) return usual;
  const llvm::json::Value* kinds_value = config.find("layer_types");
  const llvm::json::Array* heads = heads_value->getAsArray();
  const llvm::json::Array* kinds = kinds_value == nullptr ? nullptr : kinds_value->getAsArray();
  if (heads == nullptr || heads->empty()) {
    throw field_error(ErrorCode::parse_error, config.path(kKey), describe(*heads_value), "an array of integers");
  }
  std::optional<std::int64_t> found;
  for (std::size_t i = 0; i < heads->size(); ++i) {
    const bool is_of_kind = kinds == nullptr || (i < kinds->size() && (*kinds)[i].getAsString() == kind);
    if (!is_of_kind) continue;
    const auto count = (*heads)[i].getAsInteger();
    const std::string field = fmt::format("{}[{}]", config.path(kKey), i);
    if (!count || !kHeads.contains(*count)) {
      throw field_error(ErrorCode::invalid_argument, field, describe((*heads)[i]), kHeads.describe());
    }
    if (found && *found != *count) {
      throw field_error(ErrorCode::unsupported, field, fmt::format("{}", *count),
                        fmt::format("{} as in another layer of kind {}", *found, std::string_view(kind)));
    }
    found = *count;
  }
  usual.q_heads = found.value_or(usual.q_heads);
  return usual;
}

// MiMo-V2-Flash: sliding layers have twice the key heads.
HfHeads mimo_v2_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual) {
  config.pass_over({"swa_head_dim", "swa_v_head_dim", "swa_num_attention_heads"});
  if (kind != kSliding) return usual;
  usual.kv_heads = config.find_int("swa_num_key_value_heads", kHeads).value_or(2 * usual.kv_heads);
  return usual;
}

// Step-3.7: sliding layers have query heads of their own.
HfHeads step_3_7_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual) {
  if (kind != kSliding) return usual;
  std::optional<std::int64_t> heads = config.find_int("num_sliding_attention_heads", kHeads);
  if (const auto other = config.find_object("attention_other_setting"); other && !heads) {
    heads = other->find_int("num_attention_heads", kHeads);
  }
  usual.q_heads = heads.value_or(usual.q_heads);
  return usual;
}

// Its files have another name for the key heads.
std::int64_t step_3_7_kv_heads(const ObjectReader& config, std::int64_t /*q_heads*/) {
  const char* key = config.has("num_key_value_heads") ? "num_key_value_heads" : "num_attention_groups";
  return config.get_int(key, kHeads);
}

// MiMo-V2-Flash: the first layer and every sixth are full; its first files say which are not.
std::vector<HfLayer> mimo_v2_layers(const ObjectReader& config, std::int64_t count) {
  static constexpr const char* kKey = "hybrid_layer_pattern";
  std::vector<HfLayer> layers(static_cast<std::size_t>(count));
  const llvm::json::Value* value = config.find(kKey);
  const llvm::json::Array* pattern = value == nullptr ? nullptr : value->getAsArray();
  if (value != nullptr && (pattern == nullptr || pattern->size() != layers.size())) {
    throw field_error(ErrorCode::invalid_argument, config.path(kKey), describe(*value),
                      fmt::format("an array of {}, one for each layer", count));
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool slides = pattern != nullptr ? (*pattern)[i].getAsNumber() == 1.0 : i != 0 && (i + 1) % 6 != 0;
    layers[i].kind = slides ? kSliding : kFull;
  }
  return layers;
}

// Muse: every fourth layer is full, counted backward from the last.
std::vector<HfLayer> muse_layers(const ObjectReader& /*config*/, std::int64_t count) {
  std::vector<HfLayer> layers(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers[i].kind = (layers.size() - 1 - i) % 4 == 0 ? kFull : kSliding;
  }
  return layers;
}

// DeepSeek-V4: a layer's kind follows from how it compresses its keys, which compress_ratios says, or the class's own
// pattern.
std::vector<HfLayer> deepseek_v4_layers(const ObjectReader& config, std::int64_t count) {
  std::vector<HfLayer> layers;
  if (const llvm::json::Value* value = config.find("compress_ratios")) {
    const llvm::json::Array* ratios = value->getAsArray();
    if (ratios == nullptr || ratios->size() < static_cast<std::size_t>(count)) {
      throw field_error(ErrorCode::invalid_argument, config.path("compress_ratios"),
                        ratios == nullptr ? describe(*value) : fmt::format("{} elements", ratios->size()),
                        fmt::format("an array of {} or more, one for each layer", count));
    }
    // Published files list the layers that predict further tokens, too.
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const std::string field = fmt::format("{}[{}]", config.path("compress_ratios"), i);
      layers.push_back(HfLayer{kind_of_ratio((*ratios)[i], field)});
    }
    return layers;
  }
  layers.resize(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < layers.size(); ++i) layers[i].kind = i >= 2 && i % 2 == 1 ? kSparse : kHeavy;
  return layers;
}

}  // namespace ropejit::internal
