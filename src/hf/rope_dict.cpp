#include "hf/rope_dict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "hf/scaling.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "spec/scaling_rules.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

void refuse_nested(const ObjectReader& dict) {
  std::vector<std::string> nested;
  for (const auto& member : dict.object()) {
    if (member.second.getAsObject() != nullptr) nested.push_back(dict.path(llvm::StringRef(member.first).str()));
  }
  if (nested.empty()) return;
  throw field_error(ErrorCode::unsupported, *std::min_element(nested.begin(), nested.end()),
                    "parameters for one kind of layer", "one rotation for all layers");
}

constexpr llvm::StringLiteral kNoScalingKeys[] = {
    "interleaved", "mrope_interleaved", "mrope_section", "partial_rotary_factor",
    "rope_theta",  "rope_type",         "type",          "xdrope_section",
};

// rope_type, or type in configs of older releases; transformers prefers the former too.
Scaling read_scaling(const ObjectReader& dict, const HfScalingContext& context) {
  for (const char* key : {"rope_type", "type"}) {
    const std::optional<std::string> name = dict.find_string(key, scaling_rule_names());
    if (!name) continue;
    // M-RoPE's names for what is no scaling.
    if (*name == "mrope" && context.family.axes != nullptr) return NoScaling{};
    const bool dynamic = *name == "xdrope" && context.family.axes != nullptr && context.family.alpha_is_ntk;
    return read_hf_scaling(dict, dynamic ? "dynamic" : *name, dict.path(key), context);
  }
  // Without a type, a dictionary may hold only what is no scaling.
  for (const auto& member : dict.object()) {
    const llvm::StringRef key = member.first;
    if (std::find(std::begin(kNoScalingKeys), std::end(kNoScalingKeys), key) != std::end(kNoScalingKeys)) continue;
    throw missing_field(dict.path("rope_type"), scaling_rule_names());
  }
  return NoScaling{};
}

}  // namespace

void take(std::optional<SourcedNumber>& kept, const ObjectReader& reader, const char* key, const PositiveRange& range) {
  const std::optional<double> value = reader.find_number(key, range);
  if (!value) return;
  if (!kept) {
    kept = SourcedNumber{*value, reader.path(key)};
  } else if (kept->value != *value) {
    throw field_error(ErrorCode::invalid_argument, reader.path(key), fmt::format("{}", *value),
                      fmt::format("the same as {}, which is {}", kept->field, kept->value));
  }
}

std::optional<ObjectReader> find_nested_rope_dicts(const ObjectReader& config, const std::vector<HfLayer>& layers) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    std::optional<ObjectReader> dict = config.find_object(key);
    if (!dict) continue;
    for (const HfLayer& layer : layers) {
      const llvm::json::Value* value = dict->find(layer.kind);
      if (value != nullptr && value->getAsObject() != nullptr) return dict;
    }
  }
  return std::nullopt;
}

HfRopeDict read_nested_rope_dict(const ObjectReader& dict, const ObjectReader& config, const HfFamily& family) {
  refuse_nested(dict);
  HfRopeDict result;
  result.of_layer_kind = true;
  result.scaling = read_scaling(dict, HfScalingContext{config, family, true});
  take(result.theta, dict, "rope_theta", kTheta);
  take(result.fraction, dict, "partial_rotary_factor", kFraction);
  result.sections = find_hf_sections(dict, family);
  return result;
}

HfRopeDict read_hf_rope_dict(const ObjectReader& config, const HfFamily& family) {
  HfRopeDict result;
  std::optional<std::string> read_from;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const std::optional<ObjectReader> dict = config.find_object(key);
    if (!dict) continue;
    refuse_nested(*dict);
    const Scaling scaling = read_scaling(*dict, HfScalingContext{config, family});
    if (read_from && !(scaling == result.scaling)) {
      throw field_error(ErrorCode::invalid_argument, config.path(key), scaling_to_string(scaling),
                        fmt::format("the same as {}, which is {}", *read_from, scaling_to_string(result.scaling)));
    }
    result.scaling = scaling;
    read_from = config.path(key);
    take(result.theta, *dict, "rope_theta", kTheta);
    take(result.fraction, *dict, "partial_rotary_factor", kFraction);
    auto sections = find_hf_sections(*dict, family);
    if (sections && result.sections && sections->pairs != result.sections->pairs) {
      throw field_error(ErrorCode::invalid_argument, sections->field, "other sections",
                        fmt::format("the same as {}", result.sections->field));
    }
    if (sections) result.sections = std::move(sections);
  }
  return result;
}

}  // namespace ropejit::internal
