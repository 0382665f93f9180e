#include "verify/rope_formulas.hpp"

#include <algorithm>
#include <cmath>
#include <variant>

#include "verify/oracle_axes.hpp"

namespace ropejit::internal {
namespace {

constexpr WideNumber kOne{1, 0};

// theta^(-i / pairs), i = 0 .. pairs-1. exp(-u) u <= 1/e keeps the absolute error of every one of them, and so of
// every angle, near that of the root.
std::vector<WideNumber> unscaled_frequencies(double theta, std::int64_t pairs) {
  const WideNumber ratio = root(theta, pairs);
  std::vector<WideNumber> result;
  for (std::int64_t i = 0; i < pairs; ++i) result.push_back(kOne / power(ratio, i));
  return result;
}

// The frequencies before scaling of tokens with several positions.
std::vector<WideNumber> axis_frequencies(const RopeSpec& spec) {
  const std::int64_t pairs = spec.rotary_dim / 2;
  const auto axes = static_cast<std::int64_t>(spec.axes.sections.size());
  const WideNumber ratio = root(spec.theta, pairs);
  std::vector<WideNumber> result;
  for (const OraclePairAxis& pair : oracle_pair_axes(spec)) {
    if (spec.axes.frequencies == AxisFrequencies::strided) {
      result.push_back(kOne / power(ratio, axes * pair.place + pair.axis));
    } else {
      const std::int64_t section = spec.axes.sections[static_cast<std::size_t>(pair.axis)];
      result.push_back(kOne / power(root(spec.theta, section), pair.place));
    }
  }
  return result;
}

// DynamicScaling's and NtkScaling's: (stretch^(d / (d - 2)))^(-2 i / d) is stretch^(-2 i / (d - 2)).
void stretch(std::vector<WideNumber>& f, const WideNumber& by) {
  const WideNumber slope = -logarithm(by) / wide_integer(static_cast<std::int64_t>(f.size()) - 1);
  for (std::size_t i = 0; i < f.size(); ++i) {
    f[i] = f[i] * exponential(slope * wide_integer(static_cast<std::int64_t>(i)));
  }
}

// The ramp of both YaRNs: how much of each pair's frequency is that of positions divided by the factor.
template <class Rule>
std::vector<WideNumber> interpolated_share(const Rule& rule, bool truncate, double theta, std::int64_t pairs) {
  const WideNumber length = wide_integer(rule.original_max_position_embeddings);
  const auto pair_with_turns = [&](double turns) {
    // d / (2 ln b) ln(L / (2 pi n)), d / 2 = pairs.
    return wide_integer(pairs) * logarithm(length / (wide(turns) * wide_two_pi())) / logarithm(wide(theta));
  };
  WideNumber first = pair_with_turns(rule.beta_fast);
  WideNumber last = pair_with_turns(rule.beta_slow);
  if (truncate) {
    first = rounded_down(first);
    last = -rounded_down(-last);
  }
  first = std::max(first, WideNumber{0, 0});
  last = std::min(last, wide_integer(2 * pairs - 1));
  WideNumber width = last - first;
  if (width.hi == 0) width = wide(0.001);
  std::vector<WideNumber> result;
  for (std::int64_t i = 0; i < pairs; ++i) {
    const WideNumber ramp = (wide_integer(i) - first) / width;
    result.push_back(std::min(std::max(ramp, WideNumber{0, 0}), kOne));
  }
  return result;
}

template <class Rule>
void blend(std::vector<WideNumber>& f, const Rule& rule, bool truncate, double theta) {
  const std::vector<WideNumber> share = interpolated_share(rule, truncate, theta, static_cast<std::int64_t>(f.size()));
  for (std::size_t i = 0; i < f.size(); ++i) {
    const WideNumber kept = (kOne - share[i]) * wide(rule.extrapolation_factor);
    f[i] = kept * f[i] + (kOne - kept) * (f[i] / wide(rule.factor));
  }
}

double magnitude(double factor, double mscale) {
  return factor <= 1 ? 1.0 : static_cast<double>(0.1L * mscale * logl(factor) + 1.0L);
}

bool takes_long(const RopeSpec& spec, const LongRopeScaling& rule) {
  return spec.max_length.value_or(0) > rule.original_max_position_embeddings;
}

struct Rescale {
  const RopeSpec& spec;
  std::vector<WideNumber>& f;

  void operator()(const NoScaling&) const {}

  void operator()(const LinearScaling& rule) const {
    for (WideNumber& w : f) w = w / wide(rule.factor);
  }

  void operator()(const DynamicScaling& rule) const {
    const WideNumber trained = wide_integer(rule.max_position_embeddings);
    const WideNumber length = std::max(trained, wide_integer(spec.max_length.value_or(0)));
    stretch(f, wide(rule.factor) * length / trained - (wide(rule.factor) - kOne));
  }

  void operator()(const NtkScaling& rule) const { stretch(f, wide(rule.alpha)); }

  void operator()(const YarnScaling& rule) const { blend(f, rule, rule.truncate, spec.theta); }

  void operator()(const DeepseekYarnScaling& rule) const { blend(f, rule, true, spec.theta); }

  void operator()(const LongRopeScaling& rule) const {
    const std::vector<double>& divisors = takes_long(spec, rule) ? rule.long_factor : rule.short_factor;
    for (std::size_t i = 0; i < f.size(); ++i) f[i] = f[i] / wide(divisors[i]);
  }

  // Wavelengths against L / high and L / low: compared as L f against 2 pi high and 2 pi low, which turns the
  // inequalities round. Pairs on a boundary are in the blend, where m is 1 or 0 and the formulas meet.
  void operator()(const Llama3Scaling& rule) const {
    const WideNumber length = wide_integer(rule.original_max_position_embeddings);
    const WideNumber width = wide(rule.high_freq_factor) - wide(rule.low_freq_factor);
    for (WideNumber& w : f) {
      const WideNumber turns = length * w / wide_two_pi();  // L / W: how often the pair turns within the context
      const WideNumber slow = w / wide(rule.factor);
      if (turns.hi > rule.high_freq_factor) continue;
      if (turns.hi < rule.low_freq_factor) {
        w = slow;
      } else if (width.hi != 0) {
        const WideNumber m = (turns - wide(rule.low_freq_factor)) / width;
        w = (kOne - m) * slow + m * w;
      }
    }
  }

  void operator()(const ProportionalScaling& rule) const {
    const double turning = std::floor(rule.partial_rotary_factor * static_cast<double>(spec.rotary_dim) / 2);
    for (std::size_t i = 0; i < f.size(); ++i) {
      f[i] = static_cast<double>(i) < turning ? f[i] / wide(rule.factor) : WideNumber{0, 0};
    }
  }

  void operator()(const InvFreqScaling& rule) const {
    for (std::size_t i = 0; i < f.size(); ++i) f[i] = wide(rule.inv_freq[i]);
  }
};

struct Amplify {
  const RopeSpec& spec;

  template <class Rule>
  double operator()(const Rule&) const {
    return 1.0;
  }
  double operator()(const InvFreqScaling& rule) const { return rule.attention_factor.value_or(1.0); }

  double operator()(const YarnScaling& rule) const {
    if (rule.attention_factor) return *rule.attention_factor;
    const bool both = rule.mscale != 0 && rule.mscale_all_dim != 0;
    return rule.attn_factor * (both ? magnitude(rule.factor, rule.mscale) / magnitude(rule.factor, rule.mscale_all_dim)
                                    : magnitude(rule.factor, 1.0));
  }

  double operator()(const DeepseekYarnScaling& rule) const {
    return magnitude(rule.factor, rule.mscale) / magnitude(rule.factor, rule.mscale_all_dim) * rule.attn_factor;
  }

  double operator()(const LongRopeScaling& rule) const {
    const std::optional<double> mscale = takes_long(spec, rule) ? rule.long_mscale : rule.short_mscale;
    if (mscale) return *mscale;
    if (rule.attention_factor) return *rule.attention_factor;
    if (!rule.factor || *rule.factor <= 1) return 1.0;
    const auto length = static_cast<double>(rule.original_max_position_embeddings);
    return std::sqrt(1 + std::log(*rule.factor) / std::log(length));
  }
};

}  // namespace

std::vector<WideNumber> oracle_frequencies(const RopeSpec& spec) {
  const bool shared = spec.axes.sections.empty() || spec.axes.frequencies == AxisFrequencies::shared;
  std::vector<WideNumber> f = shared ? unscaled_frequencies(spec.theta, spec.rotary_dim / 2) : axis_frequencies(spec);
  std::visit(Rescale{spec, f}, spec.scaling);
  return f;
}

double oracle_attention_scale(const RopeSpec& spec) { return std::visit(Amplify{spec}, spec.scaling); }

}  // namespace ropejit::internal
