#include "spec/scaling_rules.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kDefaultKeys[] = {"rope_type"};
constexpr std::string_view kLinearKeys[] = {"rope_type", "factor"};
constexpr std::string_view kLlama3Keys[] = {"rope_type", "factor", "low_freq_factor", "high_freq_factor",
                                            "original_max_position_embeddings"};

void require_ordered(const Llama3Scaling& rule, const std::string& low_field) {
  if (rule.low_freq_factor <= rule.high_freq_factor) return;
  throw field_error(ErrorCode::invalid_argument, low_field, fmt::format("{}", rule.low_freq_factor),
                    fmt::format("a finite number above 0 and at most high_freq_factor {}", rule.high_freq_factor));
}

Scaling read_default(const ObjectReader&) { return NoScaling{}; }

Scaling read_linear(const ObjectReader& dict) { return LinearScaling{dict.get_number("factor", kFactor)}; }

Scaling read_llama3(const ObjectReader& dict) {
  Llama3Scaling rule;
  rule.factor = dict.get_number("factor", kFactor);
  rule.low_freq_factor = dict.get_number("low_freq_factor", kFactor);
  rule.high_freq_factor = dict.get_number("high_freq_factor", kFactor);
  rule.original_max_position_embeddings = dict.get_int("original_max_position_embeddings", kContextLength);
  require_ordered(rule, dict.path("low_freq_factor"));
  return rule;
}

constexpr ScalingRule kRules[] = {
    {"default", kDefaultKeys, read_default},
    {"linear", kLinearKeys, read_linear},
    {"llama3", kLlama3Keys, read_llama3},
};

void require_factor(double value, const char* key) {
  if (kFactor.contains(value)) return;
  throw field_error(ErrorCode::invalid_argument, fmt::format("rope_scaling.{}", key), fmt::format("{}", value),
                    kFactor.describe());
}

struct Validate {
  void operator()(const NoScaling&) const {}
  void operator()(const LinearScaling& rule) const { require_factor(rule.factor, "factor"); }
  void operator()(const Llama3Scaling& rule) const {
    require_factor(rule.factor, "factor");
    require_factor(rule.low_freq_factor, "low_freq_factor");
    require_factor(rule.high_freq_factor, "high_freq_factor");
    require_ordered(rule, "rope_scaling.low_freq_factor");
    if (!kContextLength.contains(rule.original_max_position_embeddings)) {
      throw field_error(ErrorCode::invalid_argument, "rope_scaling.original_max_position_embeddings",
                        fmt::format("{}", rule.original_max_position_embeddings), kContextLength.describe());
    }
  }
};

struct ToJson {
  std::string operator()(const NoScaling&) const { return R"({"rope_type":"default"})"; }
  std::string operator()(const LinearScaling& rule) const {
    return fmt::format(R"({{"rope_type":"linear","factor":{}}})", rule.factor);
  }
  std::string operator()(const Llama3Scaling& rule) const {
    return fmt::format(R"({{"rope_type":"llama3","factor":{},"low_freq_factor":{},"high_freq_factor":{},)"
                       R"("original_max_position_embeddings":{}}})",
                       rule.factor, rule.low_freq_factor, rule.high_freq_factor, rule.original_max_position_embeddings);
  }
};

struct ToString {
  std::string operator()(const NoScaling&) const { return "none"; }
  std::string operator()(const LinearScaling& rule) const { return fmt::format("linear(factor {})", rule.factor); }
  std::string operator()(const Llama3Scaling& rule) const {
    return fmt::format("llama3(factor {}, low {}, high {}, original {})", rule.factor, rule.low_freq_factor,
                       rule.high_freq_factor, rule.original_max_position_embeddings);
  }
};

}  // namespace

std::span<const ScalingRule> scaling_rules() { return kRules; }

std::string scaling_rule_names() {
  std::vector<std::string_view> names;
  for (const ScalingRule& rule : kRules) names.push_back(rule.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

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

void validate_scaling(const Scaling& scaling) { std::visit(Validate{}, scaling); }

std::string scaling_to_json(const Scaling& scaling) { return std::visit(ToJson{}, scaling); }

std::string scaling_to_string(const Scaling& scaling) { return std::visit(ToString{}, scaling); }

}  // namespace ropejit::internal
