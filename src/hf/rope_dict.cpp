#include "hf/rope_dict.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "spec/scaling_rules.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

constexpr const char* kFull = "full_attention";
constexpr const char* kOneAxis = "positions on one axis";

std::vector<std::int64_t> read_pairs(const llvm::json::Value& value, const std::string& field) {
  const llvm::json::Array* array = value.getAsArray();
  if (array == nullptr) {
    throw field_error(ErrorCode::parse_error, field, describe(value), "an array with the pairs of each axis");
  }
  std::vector<std::int64_t> pairs;
  const IntRange range{0, kRotaryDim.max / 2};
  for (const llvm::json::Value& element : *array) {
    const std::string name = fmt::format("{}[{}]", field, pairs.size());
    const auto number = element.getAsNumber();
    if (!number) throw field_error(ErrorCode::parse_error, name, describe(element), range.describe());
    const bool fits = *number >= static_cast<double>(range.min) && *number <= static_cast<double>(range.max);
    if (!fits || std::trunc(*number) != *number) {
      throw field_error(ErrorCode::invalid_argument, name, describe(element), range.describe());
    }
    pairs.push_back(static_cast<std::int64_t>(*number));
  }
  return pairs;
}

// The flag says what the family's code does anyway; where it says something else, runtimes differ.
void check_dealing(const ObjectReader& dict, const HfFamily& family) {
  const std::optional<bool> interleaved = dict.find_bool("mrope_interleaved");
  if (!interleaved || (!family.axes && !*interleaved)) return;
  if (family.axes && *interleaved == (family.axes->order == AxisOrder::interleaved)) return;
  throw field_error(ErrorCode::unsupported, dict.path("mrope_interleaved"), *interleaved ? "true" : "false",
                    !family.axes ? kOneAxis : "what the model's class does");
}

// The sections of a dictionary. A family with one axis has none.
std::optional<HfSections> find_sections(const ObjectReader& dict, const HfFamily& family) {
  check_dealing(dict, family);
  std::optional<HfSections> result;
  for (const char* key : {"mrope_section", "xdrope_section"}) {
    const llvm::json::Value* value = dict.find(key);
    if (value == nullptr) continue;
    if (!family.axes) throw field_error(ErrorCode::unsupported, dict.path(key), describe(*value), kOneAxis);
    HfSections sections{read_pairs(*value, dict.path(key)), dict.path(key)};
    if (result && result->pairs != sections.pairs) {
      throw field_error(ErrorCode::invalid_argument, sections.field,
                        fmt::format("[{}]", fmt::join(sections.pairs, ", ")),
                        fmt::format("the same as {}, which is [{}]", result->field, fmt::join(result->pairs, ", ")));
    }
    result = std::move(sections);
  }
  return result;
}

void refuse_nested(const ObjectReader& dict) {
  std::vector<std::string> nested;
  for (const auto& member : dict.object()) {
    if (member.second.getAsObject() != nullptr) nested.push_back(dict.path(llvm::StringRef(member.first).str()));
  }
  if (nested.empty()) return;
  throw field_error(ErrorCode::unsupported, *std::min_element(nested.begin(), nested.end()),
                    "parameters for one kind of layer", "one rotation for all layers");
}

// The dictionary of all layers.
HfRopeDict dict_of_all_layers(const ObjectReader& config, const HfFamily& family) {
  HfRopeDict result;
  std::optional<std::string> read_from;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const std::optional<ObjectReader> dict = config.find_object(key);
    if (!dict) continue;
    refuse_nested(*dict);
    const Scaling scaling = read_hf_scaling(*dict, config, family, false);
    if (read_from && !(scaling == result.scaling)) {
      throw field_error(ErrorCode::invalid_argument, config.path(key), scaling_to_string(scaling),
                        fmt::format("the same as {}, which is {}", *read_from, scaling_to_string(result.scaling)));
    }
    result.scaling = scaling;
    read_from = config.path(key);
    take(result.theta, *dict, "rope_theta", kTheta);
    take(result.fraction, *dict, "partial_rotary_factor", kFraction);
    auto sections = find_sections(*dict, family);
    if (sections && result.sections && sections->pairs != result.sections->pairs) {
      throw field_error(ErrorCode::invalid_argument, sections->field, "other sections",
                        fmt::format("the same as {}", result.sections->field));
    }
    if (sections) result.sections = std::move(sections);
  }
  return result;
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
  result.scaling = read_hf_scaling(dict, config, family, true);
  take(result.theta, dict, "rope_theta", kTheta);
  take(result.fraction, dict, "partial_rotary_factor", kFraction);
  result.sections = find_sections(dict, family);
  return result;
}

void require_no_theta_for_all(const ObjectReader& config) {
  for (const char* key : {"rope_theta", "partial_rotary_factor", "rope_parameters", "rope_scaling"}) {
    const llvm::json::Value* value = config.find(key);
    if (value == nullptr) continue;
    throw field_error(ErrorCode::unsupported, config.path(key), describe(*value),
                      "rope_parameters with an object for each kind of layer");
  }
}

HfRopeDict read_hf_rope_dict(const ObjectReader& config, const HfFamily& family,
                             const std::optional<ObjectReader>& nested, const std::string& kind) {
  if (family.rope_dict != nullptr) return family.rope_dict(config, family, nested, kind);
  const bool has_dict = config.has("rope_parameters") || config.has("rope_scaling");
  if (!has_dict && (family.needs & needs_rope_dict) != 0)
    throw missing_field(config.path("rope_parameters"), "an object");
  HfRopeDict dict;
  if (nested) {
    dict = read_nested_rope_dict(nested->get_object(kind), config, family);
  } else {
    if (family.two_thetas && *family.two_thetas->full_key == '\0') require_no_theta_for_all(config);
    dict = dict_of_all_layers(config, family);
    if (!family.two_thetas) return dict;
    if (dict.theta) {
      throw field_error(ErrorCode::unsupported, dict.theta->field, fmt::format("{}", dict.theta->value),
                        "one for each kind of layer");
    }
    dict.of_layer_kind = true;
    if (kind != kFull && !family.two_thetas->scales_local) dict.scaling = NoScaling{};
  }
  if (!family.two_thetas || dict.theta) return dict;
  const bool full = kind == kFull;
  const char* key = full ? family.two_thetas->full_key : family.two_thetas->local_key;
  const double otherwise = full ? family.two_thetas->full : family.two_thetas->local;
  if (*key != '\0') {
    dict.theta = SourcedNumber{config.find_number(key, kTheta).value_or(otherwise), config.path(key)};
  } else if (!nested) {
    dict.theta = SourcedNumber{otherwise, config.path("rope_parameters")};
  }
  return dict;
}

Axes read_hf_axes(const ObjectReader& config, const HfFamily& family, const std::optional<HfSections>& sections,
                  std::int64_t rotary_dim) {
  const HfAxes& rule = *family.axes;
  const bool any_number = rule.sections[0] + rule.sections[1] + rule.sections[2] == 0;
  const std::string field = sections ? sections->field : config.path("rope_scaling.mrope_section");
  if (!sections && any_number) throw missing_field(field, "an array with the pairs of each axis");
  std::vector<std::int64_t> pairs =
      sections ? sections->pairs : std::vector<std::int64_t>(rule.sections.begin(), rule.sections.end());
  const auto bad = [&](const std::string& allowed) {
    return field_error(ErrorCode::invalid_argument, field,
                       fmt::format("{}[{}]", sections ? "" : "nothing, which stands for ", fmt::join(pairs, ", ")),
                       allowed);
  };
  if (any_number ? pairs.size() < 2 || pairs.size() > 4 : pairs.size() != 3) {
    throw bad(any_number ? "2 to 4 numbers, one for each axis" : "3 numbers, one for each axis");
  }
  if (std::accumulate(pairs.begin(), pairs.end(), std::int64_t{0}) != rotary_dim / 2) {
    throw bad(fmt::format("numbers that add up to {}, the pairs of {} rotating lanes", rotary_dim / 2, rotary_dim));
  }
  if (rule.order == AxisOrder::alternating && pairs[0] != pairs[1]) {
    throw bad("numbers of which the first two are the same");
  }
  if (rule.time_is_last) std::rotate(pairs.begin(), pairs.end() - 1, pairs.end());
  Axes axes;
  axes.sections = std::move(pairs);
  axes.order = rule.order;
  return axes;
}

}  // namespace ropejit::internal
