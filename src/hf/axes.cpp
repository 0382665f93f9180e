#include "hf/axes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

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
  if (!interleaved || (family.axes == nullptr && !*interleaved)) return;
  if (family.axes != nullptr && *interleaved == (family.axes->order == AxisOrder::interleaved)) return;
  throw field_error(ErrorCode::unsupported, dict.path("mrope_interleaved"), *interleaved ? "true" : "false",
                    family.axes == nullptr ? kOneAxis : "what the model's class does");
}

}  // namespace

std::optional<HfSections> find_hf_sections(const ObjectReader& dict, const HfFamily& family) {
  check_dealing(dict, family);
  std::optional<HfSections> result;
  for (const char* key : {"mrope_section", "xdrope_section"}) {
    const llvm::json::Value* value = dict.find(key);
    if (value == nullptr) continue;
    if (family.axes == nullptr) throw field_error(ErrorCode::unsupported, dict.path(key), describe(*value), kOneAxis);
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
