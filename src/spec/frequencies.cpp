#include "spec/frequencies.hpp"

#include "spec/attention_scale.hpp"
#include "spec/frequency_rules.hpp"
#include "spec/limits.hpp"

namespace ropejit::internal {
namespace {

// The fraction of a turn in units of 2^-64, to nearest, ties to even.
template <class W>
std::uint64_t step_of(const W& turns) {
  const W scaled = ldexp(W(turns - floor(turns)), 64);
  const W whole = floor(scaled);
  const W rest = scaled - whole;
  std::uint64_t step = whole.template convert_to<std::uint64_t>();  // whole is below 2^64
  if (rest > 0.5 || (rest == 0.5 && step % 2 == 1)) ++step;         // wraps: 2^64 is a whole turn
  return step;
}

// f_i = ratio^i, each through the rule.
template <class W, class Rule>
Frequencies apply(const RopeSpec& spec, const W& ratio, const Rule& rule) {
  const W turns_per_radian = 1 / two_pi<W>();
  const auto pairs = static_cast<std::size_t>(spec.rotary_dim / 2);
  Frequencies result;
  result.steps.reserve(pairs);
  result.inv_freq.reserve(pairs);
  W f = 1;
  for (std::size_t i = 0; i < pairs; ++i) {
    const W w = rule(f, i);
    result.steps.push_back(step_of<W>(w * turns_per_radian));
    result.inv_freq.push_back(w.template convert_to<double>());
    f *= ratio;
  }
  return result;
}

template <class W>
struct Compute {
  const RopeSpec& spec;

  template <class Rule>
  Frequencies with(const Rule& rule) const {
    return apply<W>(spec, exp(W(-2 * log(W(spec.theta)) / spec.rotary_dim)), rule);
  }
  Frequencies stretched(const W& stretch) const {
    return apply<W>(spec, stretched_ratio<W>(spec, stretch), Unscaled<W>{});
  }

  Frequencies operator()(const NoScaling&) const { return with(Unscaled<W>{}); }
  Frequencies operator()(const LinearScaling& rule) const { return with(Linear<W>(rule)); }
  Frequencies operator()(const Llama3Scaling& rule) const { return with(Llama3<W>(rule)); }
  Frequencies operator()(const DynamicScaling& rule) const {
    return stretched(dynamic_stretch<W>(rule, require_max_length(spec)));
  }
  Frequencies operator()(const NtkScaling& rule) const { return stretched(rule.alpha); }
  Frequencies operator()(const YarnScaling& rule) const { return with(Yarn<W>(YarnRamp(rule), spec)); }
  Frequencies operator()(const DeepseekYarnScaling& rule) const { return with(Yarn<W>(YarnRamp(rule), spec)); }
  Frequencies operator()(const LongRopeScaling& rule) const { return with(LongRope<W>(rule, is_long(spec))); }
  Frequencies operator()(const ProportionalScaling& rule) const { return with(Proportional<W>(rule, spec)); }
  Frequencies operator()(const InvFreqScaling& rule) const { return with(Explicit<W>(rule)); }
};

template <class W>
Frequencies compute(const RopeSpec& spec) {
  return std::visit(Compute<W>{spec}, spec.scaling);
}

}  // namespace

Frequencies frequencies(const RopeSpec& spec) {
  // A step is what lies below the point of w / (2 pi), down to 2^-64. 2,048 products cost 12 bits, so 256 bits leave
  // 80 to decide a rounding while w is below 2^100: any theta or factor that means something. Larger ones, which only a
  // theta or a factor far below 1 gives, need as many bits more as they have above the point.
  Frequencies result = log2_largest_frequency(spec) < 100 ? compute<Wide<256>>(spec) : compute<Wide<1280>>(spec);
  result.attention_scale = attention_scale(spec.scaling, is_long(spec));
  return result;
}

}  // namespace ropejit::internal
