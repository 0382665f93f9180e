#include "spec/attention_scale.hpp"

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "spec/scaling_rules.hpp"
#include "spec/wide.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

using W = Wide<256>;

[[maybe_unused]] const bool filled_in_at_load = (fill_in_limits<W>(), true);

// g(s, m) of ropejit/scaling.hpp.
W magnitude(double factor, double mscale) {
  if (factor <= 1) return 1;
  // 0.1 is a tenth, not the double next to it.
  return W(mscale) / 10 * log(W(factor)) + 1;
}

struct AttentionScale {
  bool is_long;

  W operator()(const NoScaling&) const { return 1; }
  W operator()(const LinearScaling&) const { return 1; }
  W operator()(const Llama3Scaling&) const { return 1; }
  W operator()(const DynamicScaling&) const { return 1; }
  W operator()(const NtkScaling&) const { return 1; }
  W operator()(const ProportionalScaling&) const { return 1; }
  W operator()(const InvFreqScaling& rule) const { return rule.attention_factor.value_or(1.0); }

  W operator()(const YarnScaling& rule) const {
    if (rule.attention_factor) return *rule.attention_factor;
    if (rule.mscale == 0 || rule.mscale_all_dim == 0) return rule.attn_factor * magnitude(rule.factor, 1);
    return rule.attn_factor * magnitude(rule.factor, rule.mscale) / magnitude(rule.factor, rule.mscale_all_dim);
  }

  W operator()(const DeepseekYarnScaling& rule) const {
    return rule.attn_factor * magnitude(rule.factor, rule.mscale) / magnitude(rule.factor, rule.mscale_all_dim);
  }

  W operator()(const LongRopeScaling& rule) const {
    const std::optional<double>& mscale = is_long ? rule.long_mscale : rule.short_mscale;
    if (mscale) return *mscale;
    if (rule.attention_factor) return *rule.attention_factor;
    const double factor = rule.factor.value_or(1.0);
    if (factor <= 1) return 1;
    return sqrt(1 + log(W(factor)) / log(W(rule.original_max_position_embeddings)));
  }
};

}  // namespace

double attention_scale(const Scaling& scaling, bool is_long) {
  fill_in_limits<W>();
  return std::visit(AttentionScale{is_long}, scaling).convert_to<double>();
}

bool depends_on_length(const Scaling& scaling) noexcept {
  return std::holds_alternative<DynamicScaling>(scaling) || std::holds_alternative<LongRopeScaling>(scaling);
}

std::int64_t require_max_length(const RopeSpec& spec) {
  if (spec.max_length) return *spec.max_length;
  throw field_error(ErrorCode::unsupported, "max_length", "nothing",
                    fmt::format("the length in tokens that {} scaling is resolved for: set max_length",
                                scaling_rule_name(spec.scaling)));
}

bool is_long(const RopeSpec& spec) {
  const auto* rule = std::get_if<LongRopeScaling>(&spec.scaling);
  return rule != nullptr && require_max_length(spec) > rule->original_max_position_embeddings;
}

double softmax_scale(const Scaling& scaling) {
  fill_in_limits<W>();
  const auto squared = [](double factor, double mscale_all_dim) {
    const W magnitude_of_all = magnitude(factor, mscale_all_dim);
    return W(magnitude_of_all * magnitude_of_all).convert_to<double>();
  };
  if (const auto* rule = std::get_if<DeepseekYarnScaling>(&scaling)) return squared(rule->factor, rule->mscale_all_dim);
  const auto* rule = std::get_if<YarnScaling>(&scaling);
  return rule != nullptr && rule->scale_softmax ? squared(rule->factor, rule->mscale_all_dim) : 1.0;
}

}  // namespace ropejit::internal
