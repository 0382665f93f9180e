#include "hf/model_type.hpp"

#include <fmt/format.h>

#include "hf/known_types.hpp"
#include "hf/refusals.hpp"
#include "ropejit/error.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr const char* kWaysOn =
    "a model type that this version builds; otherwise a spec in JSON, or to read it as a known type (--as llama, "
    "ModelOptions::as)";

std::string type_of(const ObjectReader& config) { return config.find_string("model_type", kWaysOn).value_or(""); }

// "which has no rotary embedding"; null for a type that is read.
const char* why_not(const std::string& type) {
  if (const char* refusal = hf_refusal(type)) return refusal;
  const bool known = is_hf_language_type(type) || !hf_language_type_of(type).empty();
  return known ? nullptr : "which is not known";
}

// The type by which a known type's language model is read.
std::string language_type(const std::string& type) {
  const std::string_view part = hf_language_type_of(type);
  return part.empty() ? type : std::string(part);
}

// Files of diffusers tell a class in place of a type.
Error no_type(const ObjectReader& config) {
  const llvm::json::Value* name = config.find("_class_name");
  if (name == nullptr) return missing_field(config.path("model_type"), kWaysOn);
  return field_error(ErrorCode::unsupported, config.path("_class_name"),
                     fmt::format("{}, a file of diffusers, without a model_type", describe(*name)), kWaysOn);
}

// What the configs say they are: the innermost type.
HfModelType own_type(const std::vector<ObjectReader>& configs) {
  HfModelType result;
  for (const ObjectReader& config : configs) {
    const std::string type = type_of(config);
    if (type.empty()) continue;
    if (const char* why = why_not(type)) {
      throw field_error(ErrorCode::unsupported, config.path("model_type"), fmt::format("{}, {}", quoted(type), why),
                        kWaysOn);
    }
    result.name = language_type(type);
  }
  if (result.name.empty()) throw no_type(configs.front());
  result.family = hf_family(result.name);
  return result;
}

HfModelType other_type(const std::vector<ObjectReader>& configs, const std::string& as) {
  if (const char* why = why_not(as)) {
    throw field_error(ErrorCode::invalid_argument, "as", fmt::format("{}, {}", quoted(as), why),
                      "a model type that this version builds, such as llama");
  }
  HfModelType result{language_type(as), hf_family(language_type(as)), {}};
  std::string found = "no model type";
  bool same = false;
  for (const ObjectReader& config : configs) {
    const std::string type = type_of(config);
    if (type.empty()) continue;
    const char* why = why_not(type);
    found = why == nullptr ? quoted(type) : fmt::format("{}, {}", quoted(type), why);
    same = why == nullptr && language_type(type) == result.name;
    if (why != nullptr) break;
  }
  if (same) return result;
  result.warnings.push_back(
      fmt::format("model_type: found {}, read as {} as asked for: its own code may rotate in another way", found,
                  quoted(result.name)));
  return result;
}

}  // namespace

HfModelType read_hf_model_type(const std::vector<ObjectReader>& configs, const std::optional<std::string>& as) {
  return as ? other_type(configs, *as) : own_type(configs);
}

}  // namespace ropejit::internal
