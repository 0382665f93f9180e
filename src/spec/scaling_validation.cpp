// Validation of scaling rules in structs, whichever way they were filled in.
#include <fmt/format.h>

#include <cmath>

#include "ropejit/error.hpp"
#include "spec/attention_scale.hpp"
#include "spec/scaling_fields.hpp"
#include "spec/scaling_rules.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

std::string scaling_field(const char* key) { return fmt::format("rope_scaling.{}", key); }

Error bad(const std::string& field, const std::string& found, const std::string& allowed) {
  return field_error(ErrorCode::invalid_argument, field, found, allowed);
}

struct FieldValidator {
  std::int64_t rotary_dim;

  void number(const char* key, const char*, double value, const PositiveRange& range, std::optional<double>) {
    if (!range.contains(value)) throw bad(scaling_field(key), fmt::format("{}", value), range.describe());
  }
  void maybe(const char* key, const char* label, const std::optional<double>& value, const PositiveRange& range) {
    if (value) number(key, label, *value, range, std::nullopt);
  }
  void count(const char* key, const char*, std::int64_t value, const IntRange& range) {
    if (!range.contains(value)) throw bad(scaling_field(key), fmt::format("{}", value), range.describe());
  }
  void flag(const char*, const char*, bool, bool) {}
  void list(const char* key, const char*, const std::vector<double>& values, const PositiveRange& range) {
    const auto pairs = static_cast<std::size_t>(rotary_dim / 2);
    if (values.size() != pairs) {
      throw bad(scaling_field(key), fmt::format("{} numbers", values.size()),
                fmt::format("{}, one for each pair of rotary_dim {}", pairs, rotary_dim));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (range.contains(values[i])) continue;
      throw bad(fmt::format("{}[{}]", scaling_field(key), i), fmt::format("{}", values[i]), range.describe());
    }
  }
};

// What fields have to do with each other and with the rest of the spec.
struct RelationValidator {
  const RopeSpec& spec;

  void operator()(const NoScaling&) const {}
  void operator()(const LinearScaling&) const {}
  void operator()(const ProportionalScaling&) const {}
  void operator()(const InvFreqScaling&) const {}

  void operator()(const Llama3Scaling& rule) const {
    if (rule.low_freq_factor <= rule.high_freq_factor) return;
    throw bad(scaling_field("low_freq_factor"), fmt::format("{}", rule.low_freq_factor),
              fmt::format("a finite number above 0 and at most high_freq_factor {}", rule.high_freq_factor));
  }

  // The base of a single pair cannot be changed: d / (d - 2) is infinite.
  void require_two_pairs() const {
    if (spec.rotary_dim >= 4) return;
    throw bad("rotary_dim", fmt::format("{}", spec.rotary_dim),
              fmt::format("4 or more with scaling {}", scaling_to_string(spec.scaling)));
  }
  void operator()(const DynamicScaling&) const { require_two_pairs(); }
  void operator()(const NtkScaling&) const { require_two_pairs(); }

  void require_ramp(double beta_fast, double beta_slow) const {
    if (beta_fast < beta_slow) {
      throw bad(scaling_field("beta_fast"), fmt::format("{}", beta_fast),
                fmt::format("a finite number, beta_slow {} or above", beta_slow));
    }
    if (!(spec.theta > 1)) {
      throw bad("rope_theta", fmt::format("{}", spec.theta),
                fmt::format("a finite number above 1 with scaling {}", scaling_to_string(spec.scaling)));
    }
  }
  void operator()(const YarnScaling& rule) const { require_ramp(rule.beta_fast, rule.beta_slow); }
  void operator()(const DeepseekYarnScaling& rule) const { require_ramp(rule.beta_fast, rule.beta_slow); }

  void operator()(const LongRopeScaling& rule) const {
    if (rule.factor || rule.attention_factor || (rule.short_mscale && rule.long_mscale)) return;
    throw missing_field(scaling_field("factor"), "a finite number above 0 where attention_factor is absent");
  }
};

void require_attention_scale(const Scaling& scaling, double scale) {
  if (scale >= kLeastAttentionScale && scale <= kMostAttentionScale) return;
  throw bad("rope_scaling", fmt::format("{}, which multiplies cos and sin by {:g}", scaling_to_string(scaling), scale),
            "a rule that multiplies them by 2^-20 to 2^20");
}

}  // namespace

void validate_scaling(const RopeSpec& spec) {
  FieldValidator fields{spec.rotary_dim};
  std::visit([&](const auto& rule) { visit_fields(rule, fields); }, spec.scaling);
  std::visit(RelationValidator{spec}, spec.scaling);
  for (const bool is_long : {false, true})
    require_attention_scale(spec.scaling, attention_scale(spec.scaling, is_long));
}

}  // namespace ropejit::internal
