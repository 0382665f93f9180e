#include "spec/hf_layers.hpp"

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kLayers{1, 65'536};
constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";

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

std::vector<HfLayer> of_layer_types(const ObjectReader& config, const llvm::json::Value& types,
                                    std::optional<std::int64_t> count) {
  std::vector<HfLayer> layers;
  for (const llvm::json::Value& type : array_of_layers(config, "layer_types", types, count)) {
    const auto name = type.getAsString();
    if (!name) {
      throw field_error(ErrorCode::parse_error, fmt::format("{}[{}]", config.path("layer_types"), layers.size()),
                        describe(type), "a string");
    }
    layers.push_back(HfLayer{name->str(), true});
  }
  return layers;
}

// The family's own pattern: every n-th layer is full, the others are sliding.
std::vector<HfLayer> of_pattern(const ObjectReader& config, const HfFamily& family, std::int64_t count) {
  const std::int64_t every = config.find_int(family.full_every_key, kLayers).value_or(family.full_every);
  std::vector<HfLayer> layers;
  for (std::int64_t i = 0; i < count; ++i) {
    const bool full = (family.full_first ? i : i + 1) % every == 0;
    layers.push_back(HfLayer{full ? kFull : kSliding, true});
  }
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

// Set to null, which find() does not tell from absent.
bool is_null(const ObjectReader& config, llvm::StringRef key) {
  const llvm::json::Value* value = config.object().get(key);
  return value != nullptr && value->kind() == llvm::json::Value::Null;
}

}  // namespace

std::vector<HfLayer> read_hf_layers(const ObjectReader& config, const HfFamily& family, bool lenient) {
  const std::optional<std::int64_t> count = find_count(config);
  const bool alike = !family.no_rope_list && !family.only_sliding_rotates && family.two_thetas == nullptr;
  std::vector<HfLayer> layers;
  if (const llvm::json::Value* types = config.find("layer_types")) {
    layers = of_layer_types(config, *types, count);
  } else if (!count && !(alike && lenient)) {
    throw missing_field(config.path("num_hidden_layers"), kLayers.describe());
  } else if (family.full_every != 0) {
    layers = of_pattern(config, family, *count);
  } else if (family.only_sliding_rotates || family.two_thetas != nullptr) {
    throw missing_field(config.path("layer_types"), "an array with an element a layer");
  } else {
    layers.assign(static_cast<std::size_t>(count.value_or(1)), HfLayer{});
  }
  if (family.no_rope_list) apply_no_rope_layers(config, layers);
  if (family.only_sliding_rotates && !is_null(config, "sliding_window")) {
    for (HfLayer& layer : layers) layer.rotates = layer.kind == kSliding;
  }
  return layers;
}

}  // namespace ropejit::internal
