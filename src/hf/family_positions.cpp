// Families whose rope dictionaries are read in ways of their own, and those whose queries grow with their positions.
#include "hf/family_rules.hpp"

#include <fmt/format.h>

#include <cmath>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

// The rotation of layers of one kind, as a family's class has it.
HfRopeDict dict_of_class(double theta, double fraction) {
  HfRopeDict dict;
  dict.of_layer_kind = true;
  dict.theta = SourcedNumber{theta, "rope_parameters"};
  dict.fraction = SourcedNumber{fraction, "rope_parameters"};
  return dict;
}

// One dictionary for all layers is nothing that these classes know.
void require_dicts_of_kinds(const ObjectReader& config) {
  const llvm::json::Value* value = config.find("rope_parameters");
  if (value == nullptr) return;
  throw field_error(ErrorCode::unsupported, config.path("rope_parameters"), describe(*value),
                    "an object for each kind of layer within it");
}

// What a class has whatever a config says: one that says something else is refused.
void require_of_class(const ObjectReader& config, const char* key, double of_class) {
  const auto said = config.find_number(key, PositiveRange{});
  if (!said || *said == of_class) return;
  throw field_error(ErrorCode::unsupported, config.path(key), fmt::format("{}", *said),
                    fmt::format("{}, or rope_parameters with an object for each kind of layer", of_class));
}

// The number of the first layer of that kind in an array of one a layer, or the number for all layers.
std::optional<double> number_of_kind(const ObjectReader& config, const char* key, const PositiveRange& range,
                                     const std::string& kind) {
  const llvm::json::Value* value = config.find(key);
  const llvm::json::Array* numbers = value == nullptr ? nullptr : value->getAsArray();
  if (numbers == nullptr) return config.find_number(key, range);
  const llvm::json::Value* kinds = config.find("layer_types");
  const llvm::json::Array* names = kinds == nullptr ? nullptr : kinds->getAsArray();
  for (std::size_t i = 0; i < numbers->size(); ++i) {
    if (names != nullptr && (i >= names->size() || (*names)[i].getAsString() != llvm::StringRef(kind))) continue;
    const auto number = (*numbers)[i].getAsNumber();
    if (number && range.contains(*number)) return *number;
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}[{}]", config.path(key), i), describe((*numbers)[i]),
                      range.describe());
  }
  return std::nullopt;
}

}  // namespace

// Gemma 4: where a config has no dictionaries by kind of layer, the class's own.
HfRopeDict gemma_4_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                        const std::string& kind) {
  if (nested) return read_nested_rope_dict(nested->get_object(kind), config, family);
  require_no_theta_for_all(config);
  HfRopeDict dict;
  dict.of_layer_kind = true;
  dict.theta = SourcedNumber{kind == kFull ? 1e6 : 1e4, "rope_parameters"};
  if (kind == kFull) dict.scaling = ProportionalScaling{1.0, 0.25};
  return dict;
}

// Laguna: dictionaries by kind of layer, or the class's own.
HfRopeDict laguna_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                       const std::string& kind) {
  if (nested) return read_nested_rope_dict(nested->get_object(kind), config, family);
  require_no_theta_for_all(config);
  return kind == kFull ? dict_of_class(5e5, 0.5) : dict_of_class(1e4, 1);
}

// MiMo-V2-Flash: the same. Its first files have keys of their own.
HfRopeDict mimo_v2_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                        const std::string& kind) {
  if (nested) return read_nested_rope_dict(nested->get_object(kind), config, family);
  require_dicts_of_kinds(config);
  require_of_class(config, "rope_theta", 5e6);
  require_of_class(config, "swa_rope_theta", 1e4);
  require_of_class(config, "partial_rotary_factor", 0.334);
  return dict_of_class(kind == kFull ? 5e6 : 1e4, 0.334);
}

// Step-3.7: dictionaries by kind of layer, or arrays of a theta and a fraction a layer; scaling is for full layers.
HfRopeDict step_3_7_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                         const std::string& kind) {
  if (nested) return read_nested_rope_dict(nested->get_object(kind), config, family);
  require_dicts_of_kinds(config);
  HfRopeDict dict = dict_of_class(number_of_kind(config, "rope_theta", kTheta, kind).value_or(1e4),
                                  number_of_kind(config, "partial_rotary_factors", kFraction, kind).value_or(1));
  if (const llvm::json::Value* types = config.find("yarn_only_types");
      types != nullptr && *types != llvm::json::Value(llvm::json::Array{kFull})) {
    throw field_error(ErrorCode::unsupported, config.path("yarn_only_types"), describe(*types), "[\"full_attention\"]");
  }
  const std::optional<ObjectReader> scaling = config.find_object("rope_scaling");
  if (scaling && kind == kFull) dict.scaling = read_hf_scaling(*scaling, config, family, true);
  return dict;
}

// Muse Spark: the class has a theta of its own where a config has no dictionary, whatever it says beside that.
HfRopeDict muse_spark_dict(const ObjectReader& config, const HfFamily& family,
                           const std::optional<ObjectReader>& /*nested*/, const std::string& /*kind*/) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (const auto dict = config.find_object(key)) return read_nested_rope_dict(*dict, config, family);
  }
  require_no_theta_for_all(config);
  return dict_of_class(5e5, 1);
}

// DeepSeek-V4: a layer's rotation follows from whether it compresses its keys. The dictionary "main" is for
// sliding_attention, which no scaling applies to, and "compress" for the other kinds of layers.
HfRopeDict deepseek_v4_dict(const ObjectReader& config, const HfFamily& family,
                            const std::optional<ObjectReader>& /*nested*/, const std::string& kind) {
  const bool compresses = kind != kSliding;
  HfRopeDict result;
  std::optional<ObjectReader> dict;
  bool by_use = false;  // the dictionaries are named by what they rotate
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const std::optional<ObjectReader> given = config.find_object(key);
    if (!given || dict) continue;
    by_use = given->has("main") && given->has("compress");
    dict = by_use ? given->get_object(compresses ? "compress" : "main") : *given;
  }
  if (dict && (by_use || compresses)) result = read_nested_rope_dict(*dict, config, family);
  result.of_layer_kind = true;
  // The class leaves YaRN's attention factor out, unless a dictionary of the kind says otherwise.
  if (auto* yarn = std::get_if<YarnScaling>(&result.scaling); yarn != nullptr && !by_use && !yarn->attention_factor) {
    yarn->attention_factor = 1.0;
  }
  if (!by_use) result.theta.reset();
  if (!result.theta) {
    const char* key = compresses ? "compress_rope_theta" : "rope_theta";
    result.theta =
        SourcedNumber{config.find_number(key, kTheta).value_or(compresses ? 160000.0 : 10000.0), config.path(key)};
  }
  return result;
}

// Llama 4 scales the queries of layers that do not rotate, by the token's place counted from 1.
std::optional<Temperature> llama_4_temperature(const ObjectReader& config, bool rotates) {
  const llvm::json::Value* on = config.find("attn_temperature_tuning");
  if (rotates || (on != nullptr && (on->getAsBoolean() == false || on->getAsNumber() == 0.0))) return std::nullopt;
  const double length = config.find_number("floor_scale", PositiveRange{0x1p40, false, 1}).value_or(8192);
  if (std::floor(length) != length) {
    throw field_error(ErrorCode::unsupported, config.path("floor_scale"), fmt::format("{}", length), "an integer");
  }
  const double coefficient = config.find_number("attn_scale", PositiveRange{}).value_or(0.1);
  return Temperature{coefficient, static_cast<std::int64_t>(length), true, 1};
}

// Ministral 3: the rope dictionary has the numbers of that scale, which its class cannot do without.
std::optional<Temperature> ministral_3_temperature(const ObjectReader& config, bool /*rotates*/) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const std::optional<ObjectReader> dict = config.find_object(key);
    if (!dict) continue;
    const double coefficient = dict->get_number("llama_4_scaling_beta", PositiveRange{1e300, true});
    const std::int64_t length = dict->get_int("original_max_position_embeddings", IntRange{1, std::int64_t{1} << 40});
    return Temperature{coefficient, length, true, 0};
  }
  throw missing_field(config.path("rope_parameters"), "an object with llama_4_scaling_beta");
}

}  // namespace ropejit::internal
