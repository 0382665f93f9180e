#include "spec/scaling_rules.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <iterator>
#include <utility>

#include "ropejit/error.hpp"
#include "spec/scaling_fields.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

struct KeyCollector {
  std::vector<std::string_view> keys{"rope_type"};

  template <class... Rest>
  void number(const char* key, Rest&&...) {
    keys.emplace_back(key);
  }
  template <class... Rest>
  void maybe(const char* key, Rest&&...) {
    keys.emplace_back(key);
  }
  template <class... Rest>
  void count(const char* key, Rest&&...) {
    keys.emplace_back(key);
  }
  template <class... Rest>
  void flag(const char* key, Rest&&...) {
    keys.emplace_back(key);
  }
  template <class... Rest>
  void list(const char* key, Rest&&...) {
    keys.emplace_back(key);
  }
};

struct FieldReader {
  const ObjectReader& dict;

  void number(const char* key, const char*, double& value, const PositiveRange& range, std::optional<double> fallback) {
    value = fallback ? dict.find_number(key, range).value_or(*fallback) : dict.get_number(key, range);
  }
  void maybe(const char* key, const char*, std::optional<double>& value, const PositiveRange& range) {
    value = dict.find_number(key, range);
  }
  void count(const char* key, const char*, std::int64_t& value, const IntRange& range) {
    value = dict.get_int(key, range);
  }
  void flag(const char* key, const char*, bool& value, bool fallback) {
    value = dict.find_bool(key).value_or(fallback);
  }
  void list(const char* key, const char*, std::vector<double>& value, const PositiveRange& range) {
    value = read_number_list(dict, key, range);
  }
};

struct JsonWriter {
  std::string text;

  void number(const char* key, const char*, double value, const PositiveRange&, std::optional<double>) {
    text += fmt::format(R"(,"{}":{})", key, value);
  }
  void maybe(const char* key, const char*, const std::optional<double>& value, const PositiveRange&) {
    if (value) text += fmt::format(R"(,"{}":{})", key, *value);
  }
  void count(const char* key, const char*, std::int64_t value, const IntRange&) {
    text += fmt::format(R"(,"{}":{})", key, value);
  }
  void flag(const char* key, const char*, bool value, bool) { text += fmt::format(R"(,"{}":{})", key, value); }
  void list(const char* key, const char*, const std::vector<double>& value, const PositiveRange&) {
    text += fmt::format(R"(,"{}":[{}])", key, fmt::join(value, ","));
  }
};

struct TextWriter {
  std::vector<std::string> parts;

  void number(const char*, const char* label, double value, const PositiveRange&, std::optional<double> fallback) {
    if (value != fallback) parts.push_back(fmt::format("{} {}", label, value));
  }
  void maybe(const char*, const char* label, const std::optional<double>& value, const PositiveRange&) {
    if (value) parts.push_back(fmt::format("{} {}", label, *value));
  }
  void count(const char*, const char* label, std::int64_t value, const IntRange&) {
    parts.push_back(fmt::format("{} {}", label, value));
  }
  void flag(const char*, const char* label, bool value, bool fallback) {
    if (value != fallback) parts.push_back(fmt::format("{} {}", label, value));
  }
  void list(const char*, const char* label, const std::vector<double>& value, const PositiveRange&) {
    parts.push_back(fmt::format("{} {} numbers", label, value.size()));
  }
};

template <class Rule>
std::vector<std::string_view> keys_of() {
  Rule rule;
  KeyCollector collector;
  visit_fields(rule, collector);
  return collector.keys;
}

template <class Rule>
Scaling read_rule(const ObjectReader& dict) {
  Rule rule;
  FieldReader reader{dict};
  visit_fields(rule, reader);
  return rule;
}

template <class Rule>
constexpr ScalingRule row(std::string_view name) {
  return {name, keys_of<Rule>, read_rule<Rule>};
}

// As the alternatives of Scaling.
constexpr std::string_view kNames[] = {"default", "linear",   "llama3",       "dynamic",       "ntk",
                                       "yarn",    "longrope", "proportional", "deepseek_yarn", "inv_freq"};
static_assert(std::size(kNames) == std::variant_size_v<Scaling>);

template <std::size_t... I>
constexpr std::array<ScalingRule, sizeof...(I)> rows(std::index_sequence<I...>) {
  return {row<std::variant_alternative_t<I, Scaling>>(kNames[I])...};
}
constexpr auto kRules = rows(std::make_index_sequence<std::variant_size_v<Scaling>>());

}  // namespace

std::span<const ScalingRule> scaling_rules() { return kRules; }

std::string scaling_rule_names() { return fmt::format("{}", fmt::join(kNames, ", ")); }

const ScalingRule* find_scaling_rule(std::string_view name) {
  for (const ScalingRule& rule : kRules) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

const ScalingRule& require_scaling_rule(std::string_view name, std::string_view field) {
  if (const ScalingRule* rule = find_scaling_rule(name)) return *rule;
  throw field_error(ErrorCode::unsupported, field, quoted(name), scaling_rule_names());
}

std::string_view scaling_rule_name(const Scaling& scaling) { return kNames[scaling.index()]; }

std::vector<double> read_number_list(const ObjectReader& dict, std::string_view key, const PositiveRange& range) {
  constexpr const char* kArray = "an array of numbers";
  const llvm::json::Value* value = dict.find(key);
  if (value == nullptr) throw missing_field(dict.path(key), kArray);
  const llvm::json::Array* array = value->getAsArray();
  if (array == nullptr) throw field_error(ErrorCode::parse_error, dict.path(key), describe(*value), kArray);
  std::vector<double> numbers;
  numbers.reserve(array->size());
  for (const llvm::json::Value& element : *array) {
    const auto number = element.getAsNumber();
    if (!number || !range.contains(*number)) {
      throw field_error(number ? ErrorCode::invalid_argument : ErrorCode::parse_error,
                        fmt::format("{}[{}]", dict.path(key), numbers.size()), describe(element), range.describe());
    }
    numbers.push_back(*number);
  }
  return numbers;
}

std::string scaling_to_json(const Scaling& scaling) {
  JsonWriter writer;
  std::visit([&](const auto& rule) { visit_fields(rule, writer); }, scaling);
  return fmt::format(R"({{"rope_type":"{}"{}}})", scaling_rule_name(scaling), writer.text);
}

std::string scaling_to_string(const Scaling& scaling) {
  if (std::holds_alternative<NoScaling>(scaling)) return "none";
  TextWriter writer;
  std::visit([&](const auto& rule) { visit_fields(rule, writer); }, scaling);
  return fmt::format("{}({})", scaling_rule_name(scaling), fmt::join(writer.parts, ", "));
}

}  // namespace ropejit::internal
