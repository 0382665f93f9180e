#include "hf/layers.hpp"

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kLayers{1, 65'536};
constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";
constexpr const char* kLinear = "linear_attention";

// Layers of these kinds have no attention that could rotate, and no q, k and v that a prologue could be for.
constexpr llvm::StringLiteral kStill[] = {"conv", "linear_attention", "mamba", "mlp", "recurrent"};

std::optional<std::int64_t> find_count(const ObjectReader& config) {
  for (const char* key : {"num_hidden_layers", "n_layer", "num_layers"}) {
    if (const auto count = config.find_int(key, kLayers)) return count;
  }
  return std::nullopt;
}

// An array of the config with an element for each layer.
const llvm::json::Array& array_of_layers(const ObjectReader& config, const char* key, const llvm::json::Value& value,
                                         std::optional<std::int64_t> count) {
  const llvm::json::Array* array = value.getAsArray();
  if (array == nullptr || array->empty()) {
    throw field_error(ErrorCode::parse_error, config.path(key), describe(value), "an array with an element a layer");
  }
  if (count && array->size() != static_cast<std::size_t>(*count)) {
    throw field_error(ErrorCode::invalid_argument, config.path(key), fmt::format("{} elements", array->size()),
                      fmt::format("{}, one for each layer", *count));
  }
  return *array;
}

std::vector<HfLayer> of_layer_types(const ObjectReader& config, const char* key, const llvm::json::Value& types,
                                    std::optional<std::int64_t> count) {
  std::vector<HfLayer> layers;
  // Files may list the layers that predict further tokens, too.
  const std::int64_t further = config.find_int("num_nextn_predict_layers", IntRange{0, kLayers.max}).value_or(0);
  const llvm::json::Array* array = types.getAsArray();
  const bool lists_further = count && array != nullptr && static_cast<std::int64_t>(array->size()) == *count + further;
  for (const llvm::json::Value& type : array_of_layers(config, key, types, lists_further ? *count + further : count)) {
    if (count && static_cast<std::int64_t>(layers.size()) == *count) break;
    const auto name = type.getAsString();
    if (!name) {
      throw field_error(ErrorCode::parse_error, fmt::format("{}[{}]", config.path(key), layers.size()), describe(type),
                        "a string");
    }
    layers.push_back(HfLayer{name->str()});
  }
  return layers;
}

// The family's own pattern: every n-th layer is full, the others are sliding or linear.
std::vector<HfLayer> of_pattern(const ObjectReader& config, const HfFamily& family, std::int64_t count) {
  if (const llvm::json::Value* windows = config.find("attention_windows")) {
    throw field_error(ErrorCode::unsupported, config.path("attention_windows"), describe(*windows),
                      "layer_types instead");
  }
  std::int64_t every = family.full_every;
  if (*family.full_every_key != '\0') every = config.find_int(family.full_every_key, kLayers).value_or(every);
  std::vector<HfLayer> layers;
  for (std::int64_t i = 0; i < count; ++i) {
    const bool full = (family.full_first ? i : i + 1) % every == 0;
    layers.push_back(HfLayer{full ? kFull : family.others_are_linear ? kLinear : kSliding});
  }
  if (family.pattern_ends_full) layers.back().kind = kFull;
  return layers;
}

// no_rope_layers says 1 where a layer does rotate, despite its name.
void apply_no_rope_layers(const ObjectReader& config, std::vector<HfLayer>& layers) {
  static constexpr const char* kKey = "no_rope_layers";
  const llvm::json::Value* value = config.find(kKey);
  if (value == nullptr || (value->getAsArray() != nullptr && value->getAsArray()->empty())) {
    const std::int64_t interval = config.find_int("no_rope_layer_interval", kLayers).value_or(4);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      layers[i].rotates = (static_cast<std::int64_t>(i) + 1) % interval != 0;
    }
    return;
  }
  const llvm::json::Array& flags = array_of_layers(config, kKey, *value, static_cast<std::int64_t>(layers.size()));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto flag = flags[i].getAsNumber();
    if (!flag || (*flag != 0 && *flag != 1)) {
      throw field_error(ErrorCode::invalid_argument, fmt::format("{}[{}]", config.path(kKey), i), describe(flags[i]),
                        "0 or 1");
    }
    layers[i].rotates = *flag == 1;
  }
}

// An array with a theta a layer, which says no more than whether the layer rotates: by the config's one theta.
void apply_layer_thetas(const ObjectReader& config, const char* key, std::vector<HfLayer>& layers) {
  const llvm::json::Value* value = config.find(key);
  if (value == nullptr) {
    for (std::size_t i = 0; i < layers.size(); ++i) layers[i].rotates = (layers.size() - 1 - i) % 4 != 0;
    return;
  }
  const llvm::json::Array& thetas = array_of_layers(config, key, *value, static_cast<std::int64_t>(layers.size()));
  std::optional<double> first;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto theta = thetas[i].getAsNumber();
    const std::string field = fmt::format("{}[{}]", config.path(key), i);
    if (!theta || !(*theta == 0 || kTheta.contains(*theta))) {
      throw field_error(ErrorCode::invalid_argument, field, describe(thetas[i]),
                        fmt::format("0, or {}", kTheta.describe()));
    }
    layers[i].rotates = *theta != 0;
    if (*theta == 0) continue;
    if (first && *first != *theta) {
      throw field_error(ErrorCode::unsupported, field, fmt::format("{}", *theta),
                        fmt::format("0, or {} as in another layer", *first));
    }
    first = theta;
  }
}

// Set to null, which find() does not tell from absent.
bool is_null(const ObjectReader& config, llvm::StringRef key) {
  const llvm::json::Value* value = config.object().get(key);
  return value != nullptr && value->kind() == llvm::json::Value::Null;
}

// The first layers of a model of experts, which have none. Their kinds follow a pattern of their own: with 1, all of
// them are full, and rotate all the same.
void turn_dense_layers(const ObjectReader& config, std::vector<HfLayer>& layers) {
  if (config.find_int("prefix_dense_sliding_window_pattern", kLayers).value_or(1) != 1) return;
  const llvm::json::Value* types = config.find("mlp_layer_types");
  if (types == nullptr) {
    const std::int64_t dense = config.find_int("first_k_dense_replace", IntRange{0, kLayers.max}).value_or(0);
    for (std::size_t i = 0; i < layers.size() && static_cast<std::int64_t>(i) < dense; ++i) layers[i].rotates = true;
    return;
  }
  const llvm::json::Array& array =
      array_of_layers(config, "mlp_layer_types", *types, static_cast<std::int64_t>(layers.size()));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (array[i].getAsString() == "dense") layers[i].rotates = true;
  }
}

void apply_window(const ObjectReader& config, const HfFamily& family, std::vector<HfLayer>& layers) {
  const HfNullWindow null_window = is_null(config, "sliding_window") ? family.null_window : HfNullWindow::nothing;
  if (null_window == HfNullWindow::all_rotate) return;
  for (HfLayer& layer : layers) {
    layer.rotates = layer.kind == kSliding && null_window != HfNullWindow::none_rotates;
  }
}

// The layers that an array of the config names, in place of what they were.
void replace_named_layers(const ObjectReader& config, const char* key, const HfLayer& by,
                          std::vector<HfLayer>& layers) {
  const llvm::json::Value* value = config.find(key);
  const llvm::json::Array* indices = value == nullptr ? nullptr : value->getAsArray();
  if (value == nullptr) return;
  if (indices == nullptr) {
    throw field_error(ErrorCode::parse_error, config.path(key), describe(*value), "an array of layers");
  }
  const IntRange range{0, static_cast<std::int64_t>(layers.size()) - 1};
  for (std::size_t i = 0; i < indices->size(); ++i) {
    const auto layer = (*indices)[i].getAsInteger();
    if (!layer || !range.contains(*layer)) {
      throw field_error(ErrorCode::invalid_argument, fmt::format("{}[{}]", config.path(key), i),
                        describe((*indices)[i]), range.describe());
    }
    layers[static_cast<std::size_t>(*layer)] = by;
  }
}

// Which layers choose tokens of their own; the others take the choice of the layer before.
void apply_indexer_types(const ObjectReader& config, bool every_fourth, std::vector<HfLayer>& layers) {
  static constexpr const char* kKey = "indexer_types";
  if (const llvm::json::Value* value = config.find(kKey)) {
    const llvm::json::Array& types = array_of_layers(config, kKey, *value, static_cast<std::int64_t>(layers.size()));
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto type = types[i].getAsString();
      if (!type || (*type != "full" && *type != "shared")) {
        throw field_error(ErrorCode::invalid_argument, fmt::format("{}[{}]", config.path(kKey), i), describe(types[i]),
                          "full, shared");
      }
      layers[i].has_indexer = *type == "full";
    }
    return;
  }
  if (const llvm::json::Value* pattern = config.find("index_topk_pattern")) {
    throw field_error(ErrorCode::unsupported, config.path("index_topk_pattern"), describe(*pattern),
                      "indexer_types instead");
  }
  const std::int64_t every = every_fourth ? 4 : config.find_int("index_topk_freq", IntRange{0, 65'536}).value_or(1);
  const std::int64_t offset =
      every_fourth ? 2 : config.find_int("index_skip_topk_offset", IntRange{0, 65'536}).value_or(2);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::int64_t turn = std::max(static_cast<std::int64_t>(i) - offset + 1, std::int64_t{0});
    layers[i].has_indexer = turn % std::max(every, std::int64_t{1}) == 0;
  }
}

}  // namespace

bool has_attention(const HfLayer& layer) { return !llvm::is_contained(kStill, layer.kind); }

std::vector<HfLayer> read_hf_layers(const ObjectReader& config, const HfFamily& family, bool lenient) {
  const std::optional<std::int64_t> count = find_count(config);
  const bool of_kinds = family.only_sliding_rotates || family.others_are_linear || family.two_thetas;
  const bool alike = !of_kinds && !family.no_rope_list && family.rope_dict == nullptr;
  std::vector<HfLayer> layers;
  // Its name in the files of models that mix attention with state spaces (Zamba 2, Granite 4).
  const char* key = config.has("layers_block_type") && !config.has("layer_types") ? "layers_block_type" : "layer_types";
  if (const llvm::json::Value* types = config.find(key)) {
    layers = of_layer_types(config, key, *types, count);
  } else if (!count && !(alike && lenient)) {
    throw missing_field(config.path("num_hidden_layers"), kLayers.describe());
  } else if (family.layers != nullptr) {
    if (!count) throw missing_field(config.path("num_hidden_layers"), kLayers.describe());
    layers = family.layers(config, *count);
  } else if (family.full_every != 0) {
    if (!count) throw missing_field(config.path("num_hidden_layers"), kLayers.describe());
    layers = of_pattern(config, family, *count);
  } else if (count && config.has(family.attention_layers_key)) {
    layers.assign(static_cast<std::size_t>(*count), HfLayer{kLinear});
    replace_named_layers(config, family.attention_layers_key, HfLayer{kFull}, layers);
  } else if (of_kinds) {
    throw missing_field(config.path("layer_types"), "an array with an element a layer");
  } else {
    layers.assign(static_cast<std::size_t>(count.value_or(1)), HfLayer{});
  }
  if (family.ends_full) layers.back().kind = kFull;
  for (HfLayer& layer : layers) {
    layer.rotates = has_attention(layer);
  }
  if (family.no_rope_list) apply_no_rope_layers(config, layers);
  if (*family.layer_thetas_key != '\0') apply_layer_thetas(config, family.layer_thetas_key, layers);
  if (family.only_sliding_rotates) apply_window(config, family, layers);
  if (family.dense_layers_rotate) turn_dense_layers(config, layers);
  // Layers whose keys come from an image (Llama 3.2 Vision).
  replace_named_layers(config, "cross_attention_layers",
                       HfLayer{.kind = "cross_attention", .rotates = false, .crosses = true}, layers);
  if (!family.indexer) return layers;
  const llvm::StringRef chooses = family.indexer->layer_kind;
  for (HfLayer& layer : layers) layer.has_indexer = chooses.empty() || chooses == layer.kind;
  if (family.indexer->has_types) apply_indexer_types(config, family.indexer->every_fourth, layers);
  return layers;
}

}  // namespace ropejit::internal
