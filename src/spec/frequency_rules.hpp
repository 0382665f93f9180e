// The formulas of ropejit/scaling.hpp for frequencies, in wide arithmetic: an object a rule, from a pair's f_i to its
// w_i.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ropejit/spec.hpp"
#include "spec/wide.hpp"

namespace ropejit::internal {

template <class W>
struct Unscaled {
  W operator()(const W& f, std::size_t) const { return f; }
};

template <class W>
struct Linear {
  explicit Linear(const LinearScaling& rule) : factor(rule.factor) {}
  W operator()(const W& f, std::size_t) const { return f / factor; }
  W factor;
};

// W_i < L / high is f_i * L / (2 pi) > high: no division by a wavelength, nothing to mask. The turns are never equal
// to a boundary, because 2 pi is transcendental and all else is algebraic.
template <class W>
struct Llama3 {
  explicit Llama3(const Llama3Scaling& rule)
      : turns_per_frequency(W(rule.original_max_position_embeddings) / two_pi<W>()),
        factor(rule.factor),
        low(rule.low_freq_factor),
        high(rule.high_freq_factor) {}

  W operator()(const W& f, std::size_t) const {
    const W turns = f * turns_per_frequency;
    if (turns > high) return f;
    if (turns < low) return f / factor;
    // turns is in [low, high]: with low == high it would have to equal both, so high - low is above 0.
    const W m = (turns - low) / (high - low);
    return (1 - m) * f / factor + m * f;
  }

  W turns_per_frequency;
  W factor;
  W low;
  W high;
};

// The parameters of the two YaRN rules that frequencies depend on.
struct YarnRamp {
  explicit YarnRamp(const YarnScaling& rule)
      : factor(rule.factor),
        length(rule.original_max_position_embeddings),
        beta_fast(rule.beta_fast),
        beta_slow(rule.beta_slow),
        extrapolation_factor(rule.extrapolation_factor),
        truncate(rule.truncate) {}
  explicit YarnRamp(const DeepseekYarnScaling& rule)
      : factor(rule.factor),
        length(rule.original_max_position_embeddings),
        beta_fast(rule.beta_fast),
        beta_slow(rule.beta_slow),
        extrapolation_factor(rule.extrapolation_factor),
        truncate(true) {}

  double factor;
  std::int64_t length;
  double beta_fast;
  double beta_slow;
  double extrapolation_factor;
  bool truncate;
};

template <class W>
struct Yarn {
  Yarn(const YarnRamp& rule, const RopeSpec& spec)
      : factor(rule.factor), extrapolation_factor(rule.extrapolation_factor) {
    const auto pair_that_turns = [&](double turns) {
      return W(spec.rotary_dim * log(W(rule.length) / (turns * two_pi<W>())) / (2 * log(W(spec.theta))));
    };
    low = pair_that_turns(rule.beta_fast);
    high = pair_that_turns(rule.beta_slow);
    if (rule.truncate) {
      low = floor(low);
      high = ceil(high);
    }
    // d - 1 though there are d / 2 pairs: that is what models were trained with. So high may even be below low; the
    // formula is then taken as it stands.
    low = std::max(low, W(0));
    high = std::min(high, W(spec.rotary_dim - 1));
    if (low == high) high += W(0.001);
  }

  W operator()(const W& f, std::size_t i) const {
    const W ramp = std::clamp(W((W(i) - low) / (high - low)), W(0), W(1));
    const W kept = (1 - ramp) * extrapolation_factor;
    return (1 - kept) * f / factor + kept * f;
  }

  W factor;
  W extrapolation_factor;
  W low;
  W high;
};

template <class W>
struct LongRope {
  LongRope(const LongRopeScaling& rule, bool is_long) : factors(is_long ? rule.long_factor : rule.short_factor) {}
  W operator()(const W& f, std::size_t i) const { return f / W(factors[i]); }
  const std::vector<double>& factors;
};

template <class W>
struct Proportional {
  Proportional(const ProportionalScaling& rule, const RopeSpec& spec)
      : factor(rule.factor),
        // int(fraction * d // 2) in double, as Hugging Face has it.
        turning(static_cast<std::size_t>(rule.partial_rotary_factor * static_cast<double>(spec.rotary_dim) / 2)) {}
  W operator()(const W& f, std::size_t i) const { return i < turning ? W(f / factor) : W(0); }
  W factor;
  std::size_t turning;
};

template <class W>
struct Explicit {
  explicit Explicit(const InvFreqScaling& rule) : inv_freq(rule.inv_freq) {}
  W operator()(const W&, std::size_t i) const { return inv_freq[i]; }
  const std::vector<double>& inv_freq;
};

/// f_1 for a base that is multiplied by stretch^(d / (d - 2)): b^(-2/d) stretch^(-2 / (d - 2)). d >= 4.
template <class W>
W stretched_ratio(const RopeSpec& spec, const W& stretch) {
  return exp(W(-2 * log(W(spec.theta)) / spec.rotary_dim - 2 * log(stretch) / (spec.rotary_dim - 2)));
}

/// By how much dynamic scaling stretches: s S' / M - (s - 1), which is 1 or more.
template <class W>
W dynamic_stretch(const DynamicScaling& rule, std::int64_t max_length) {
  const W trained = rule.max_position_embeddings;
  return 1 + rule.factor * (std::max(W(max_length), trained) - trained) / trained;
}

}  // namespace ropejit::internal
