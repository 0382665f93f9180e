// The fields of every scaling rule, said once: readers, validation, JSON and text walk them. A visitor has
//     number(key, label, double&, range, fallback)     fallback absent: the key is required
//     maybe(key, label, std::optional<double>&, range)
//     count(key, label, std::int64_t&, range)          required
//     flag(key, label, bool&, fallback)
//     list(key, label, std::vector<double>&, range)    required; one number a pair
// (const references for a const rule), which are called in the order of the JSON. `label` is the word for people.
#pragma once

#include <concepts>
#include <optional>
#include <type_traits>

#include "ropejit/scaling.hpp"
#include "spec/limits.hpp"

namespace ropejit::internal {

template <class R, class Rule>
concept OfRule = std::same_as<std::remove_const_t<R>, Rule>;

inline constexpr std::optional<double> kRequired;

template <OfRule<NoScaling> R, class V>
void visit_fields(R&, V&) {}

template <OfRule<LinearScaling> R, class V>
void visit_fields(R& rule, V& visitor) {
  visitor.number("factor", "factor", rule.factor, kFactor, kRequired);
}

template <OfRule<Llama3Scaling> R, class V>
void visit_fields(R& rule, V& visitor) {
  visitor.number("factor", "factor", rule.factor, kFactor, kRequired);
  visitor.number("low_freq_factor", "low", rule.low_freq_factor, kFactor, kRequired);
  visitor.number("high_freq_factor", "high", rule.high_freq_factor, kFactor, kRequired);
  visitor.count("original_max_position_embeddings", "original", rule.original_max_position_embeddings, kContextLength);
}

template <OfRule<DynamicScaling> R, class V>
void visit_fields(R& rule, V& visitor) {
  visitor.number("factor", "factor", rule.factor, kFactor, kRequired);
  visitor.count("max_position_embeddings", "trained", rule.max_position_embeddings, kContextLength);
}

template <OfRule<NtkScaling> R, class V>
void visit_fields(R& rule, V& visitor) {
  visitor.number("alpha", "alpha", rule.alpha, kFactor, kRequired);
}

template <OfRule<YarnScaling> R, class V>
void visit_fields(R& rule, V& visitor) {
  visitor.number("factor", "factor", rule.factor, kFactor, kRequired);
  visitor.count("original_max_position_embeddings", "original", rule.original_max_position_embeddings, kContextLength);
  visitor.number("beta_fast", "beta_fast", rule.beta_fast, kFactor, 32.0);
  visitor.number("beta_slow", "beta_slow", rule.beta_slow, kFactor, 1.0);
  visitor.flag("truncate", "truncate", rule.truncate, true);
  visitor.maybe("attention_factor", "attention_factor", rule.attention_factor, kFactor);
  visitor.number("mscale", "mscale", rule.mscale, kMscale, 0.0);
  visitor.number("mscale_all_dim", "mscale_all_dim", rule.mscale_all_dim, kMscale, 0.0);
  visitor.number("extrapolation_factor", "extrapolation_factor", rule.extrapolation_factor, kShare, 1.0);
  visitor.number("attn_factor", "attn_factor", rule.attn_factor, kFactor, 1.0);
  visitor.flag("scale_softmax", "scale_softmax", rule.scale_softmax, false);
}

template <OfRule<LongRopeScaling> R, class V>
void visit_fields(R& rule, V& visitor) {
  visitor.list("short_factor", "short", rule.short_factor, kFactor);
  visitor.list("long_factor", "long", rule.long_factor, kFactor);
  visitor.count("original_max_position_embeddings", "original", rule.original_max_position_embeddings,
                kLongRopeContextLength);
  visitor.maybe("factor", "factor", rule.factor, kFactor);
  visitor.maybe("attention_factor", "attention_factor", rule.attention_factor, kFactor);
  visitor.maybe("short_mscale", "short_mscale", rule.short_mscale, kFactor);
  visitor.maybe("long_mscale", "long_mscale", rule.long_mscale, kFactor);
}

template <OfRule<ProportionalScaling> R, class V>
void visit_fields(R& rule, V& visitor) {
  visitor.number("factor", "factor", rule.factor, kFactor, 1.0);
  visitor.number("partial_rotary_factor", "fraction", rule.partial_rotary_factor, kFraction, kRequired);
}

template <OfRule<DeepseekYarnScaling> R, class V>
void visit_fields(R& rule, V& visitor) {
  visitor.number("factor", "factor", rule.factor, kFactor, kRequired);
  visitor.count("original_max_position_embeddings", "original", rule.original_max_position_embeddings, kContextLength);
  visitor.number("beta_fast", "beta_fast", rule.beta_fast, kFactor, 32.0);
  visitor.number("beta_slow", "beta_slow", rule.beta_slow, kFactor, 1.0);
  visitor.number("mscale", "mscale", rule.mscale, kMscale, 1.0);
  visitor.number("mscale_all_dim", "mscale_all_dim", rule.mscale_all_dim, kMscale, 0.0);
  visitor.number("extrapolation_factor", "extrapolation_factor", rule.extrapolation_factor, kShare, 1.0);
  visitor.number("attn_factor", "attn_factor", rule.attn_factor, kFactor, 1.0);
}

template <OfRule<InvFreqScaling> R, class V>
void visit_fields(R& rule, V& visitor) {
  visitor.list("inv_freq", "of", rule.inv_freq, kInvFreq);
  visitor.maybe("attention_factor", "attention_factor", rule.attention_factor, kFactor);
}

}  // namespace ropejit::internal
