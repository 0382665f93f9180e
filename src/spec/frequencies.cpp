#include "spec/frequencies.hpp"

#include <boost/multiprecision/cpp_bin_float.hpp>

#include "spec/limits.hpp"

namespace ropejit::internal {
namespace {

namespace mp = boost::multiprecision;

// Expression templates cost compile time and win nothing here.
template <unsigned Bits>
using Wide = mp::number<mp::cpp_bin_float<Bits, mp::digit_base_2>, mp::et_off>;

template <class W>
W two_pi() {
  return 2 * acos(W(-1));
}

// One object per rule: from f_i to w_i.
template <class W>
struct Unscaled {
  W operator()(const W& f) const { return f; }
};

template <class W>
struct Linear {
  explicit Linear(const LinearScaling& rule) : factor(rule.factor) {}
  W operator()(const W& f) const { return f / factor; }
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

  W operator()(const W& f) const {
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

template <class W, class Rule>
Frequencies apply(const RopeSpec& spec, const Rule& rule) {
  const W turns_per_radian = 1 / two_pi<W>();
  const W ratio = exp(W(-2 * log(W(spec.theta)) / spec.rotary_dim));
  const auto pairs = static_cast<std::size_t>(spec.rotary_dim / 2);
  Frequencies result;
  result.steps.reserve(pairs);
  result.inv_freq.reserve(pairs);
  W f = 1;
  for (std::size_t i = 0; i < pairs; ++i) {
    const W w = rule(f);
    result.steps.push_back(step_of<W>(w * turns_per_radian));
    result.inv_freq.push_back(w.template convert_to<double>());
    f *= ratio;
  }
  return result;
}

template <class W>
Frequencies compute(const RopeSpec& spec) {
  struct Visitor {
    const RopeSpec& spec;
    Frequencies operator()(const NoScaling&) const { return apply<W>(spec, Unscaled<W>{}); }
    Frequencies operator()(const LinearScaling& rule) const { return apply<W>(spec, Linear<W>(rule)); }
    Frequencies operator()(const Llama3Scaling& rule) const { return apply<W>(spec, Llama3<W>(rule)); }
  };
  return std::visit(Visitor{spec}, spec.scaling);
}

}  // namespace

Frequencies frequencies(const RopeSpec& spec) {
  // A step is what lies below the point of w / (2 pi), down to 2^-64. 2,048 products cost 12 bits, so 256 bits leave
  // 80 to decide a rounding while w is below 2^100: any theta or factor that means something. Larger ones, which only a
  // theta or a factor far below 1 gives, need as many bits more as they have above the point.
  if (log2_largest_frequency(spec) < 100) return compute<Wide<256>>(spec);
  return compute<Wide<1280>>(spec);
}

}  // namespace ropejit::internal
