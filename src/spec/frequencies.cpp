#include "spec/frequencies.hpp"

#include <utility>

#include "spec/attention_scale.hpp"
#include "spec/axes.hpp"
#include "spec/frequency_rules.hpp"
#include "spec/limits.hpp"
#include "spec/wide.hpp"

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

// Fills in a pair after the other.
template <class W>
class Collector {
 public:
  explicit Collector(const RopeSpec& spec) : rounds_(spec.angle != AngleRounding::exact) {
    const auto pairs = static_cast<std::size_t>(spec.rotary_dim / 2);
    result_.steps.reserve(pairs);
    result_.inv_freq.reserve(pairs);
    result_.inv_freq_fp32.reserve(pairs);
  }

  void add(const W& exact) {
    const float rounded = exact.template convert_to<float>();
    const W w = rounds_ ? W(rounded) : exact;
    result_.steps.push_back(step_of<W>(w * turns_per_radian_));
    result_.inv_freq.push_back(w.template convert_to<double>());
    result_.inv_freq_fp32.push_back(rounded);
  }

  Frequencies take() { return std::move(result_); }

 private:
  const W turns_per_radian_ = 1 / two_pi<W>();
  const bool rounds_;
  Frequencies result_;
};

// f_i = ratio^i, each through the rule.
template <class W, class Rule>
Frequencies apply(const RopeSpec& spec, const W& ratio, const Rule& rule) {
  Collector<W> collector(spec);
  const auto pairs = static_cast<std::size_t>(spec.rotary_dim / 2);
  W f = 1;
  for (std::size_t i = 0; i < pairs; ++i) {
    collector.add(rule(f, i));
    f *= ratio;
  }
  return collector.take();
}

// Every axis has a geometric series of its own: restarted ones begin with 1, strided ones take every n-th f_i.
template <class W, class Rule>
Frequencies apply_by_axis(const RopeSpec& spec, const Rule& rule) {
  const std::vector<std::int64_t>& sections = spec.axes.sections;
  const W log_theta = log(W(spec.theta));
  std::vector<W> next;
  std::vector<W> ratios;
  for (std::size_t a = 0; a < sections.size(); ++a) {
    if (spec.axes.frequencies == AxisFrequencies::restarted) {
      next.emplace_back(1);
      ratios.emplace_back(sections[a] == 0 ? W(1) : W(exp(W(-log_theta / sections[a]))));
    } else {
      next.emplace_back(exp(W(-2 * log_theta * a / spec.rotary_dim)));
      ratios.emplace_back(exp(W(-2 * log_theta * sections.size() / spec.rotary_dim)));
    }
  }
  Collector<W> collector(spec);
  for (const PairAxis& pair : pair_axes(spec)) {
    collector.add(rule(next[pair.axis], static_cast<std::size_t>(pair.place)));
    next[pair.axis] *= ratios[pair.axis];
  }
  return collector.take();
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

  // The rules whose frequency depends on f alone, wherever f comes from.
  template <class Rule>
  Frequencies of_axes(const Rule& rule) const {
    return spec.axes.frequencies == AxisFrequencies::shared ? with(rule) : apply_by_axis<W>(spec, rule);
  }

  Frequencies operator()(const NoScaling&) const { return of_axes(Unscaled<W>{}); }
  Frequencies operator()(const LinearScaling& rule) const { return of_axes(Linear<W>(rule)); }
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

[[maybe_unused]] const bool filled_in_at_load = (fill_in_limits<Wide<256>>(), fill_in_limits<Wide<1280>>(), true);

template <class W>
Frequencies compute(const RopeSpec& spec) {
  fill_in_limits<W>();
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
