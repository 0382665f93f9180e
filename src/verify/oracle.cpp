#include "verify/oracle.hpp"

#include <cmath>
#include <limits>
#include <variant>

namespace ropejit::internal {
namespace {

// 2 pi to some 128 bits where long double has 64: hi is the nearest long double, lo what it leaves out. On
// platforms with a wider long double lo is computed from the same digits and only helps.
constexpr long double kTwoPiHi =
    6.28318530717958647692528676655900576839433879875021164194988918461563281257241799725607L;
WideNumber two_pi() {
  if constexpr (std::numeric_limits<long double>::digits == 64) {
    return {kTwoPiHi, -1.00331152253366640471146541606615140e-19L};
  }
  return {kTwoPiHi, 0};
}

// Sums and products of two-part numbers, after Dekker (1971) and Knuth: errors below a few units of the square of
// long double's epsilon. Correct only if the compiler keeps to the standard: no -ffast-math.
WideNumber renormalized(long double hi, long double lo) {
  const long double sum = hi + lo;
  return {sum, lo - (sum - hi)};
}

WideNumber operator+(const WideNumber& x, const WideNumber& y) {
  const long double sum = x.hi + y.hi;
  const long double part = sum - x.hi;
  const long double error = (x.hi - (sum - part)) + (y.hi - part);
  return renormalized(sum, error + x.lo + y.lo);
}

WideNumber operator-(const WideNumber& x) { return {-x.hi, -x.lo}; }

WideNumber operator*(const WideNumber& x, const WideNumber& y) {
  const long double product = x.hi * y.hi;
  const long double error = fmal(x.hi, y.hi, -product);
  return renormalized(product, error + (x.hi * y.lo + x.lo * y.hi));
}

WideNumber operator/(const WideNumber& x, const WideNumber& y) {
  const long double first = x.hi / y.hi;
  const WideNumber rest = x + -(WideNumber{first} * y);
  return renormalized(first, rest.hi / y.hi);
}

WideNumber wide(double value) { return {value, 0}; }

WideNumber power(WideNumber base, std::int64_t exponent) {
  WideNumber result{1, 0};
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = result * base;
    base = base * base;
  }
  return result;
}

// theta^(1/n): long double's own root, then one Newton step on r^n = theta in two parts.
WideNumber root(double theta, std::int64_t n) {
  const WideNumber guess{powl(theta, 1.0L / static_cast<long double>(n)), 0};
  const WideNumber reached = power(guess, n);
  const WideNumber residual = (wide(theta) + -reached) / (reached * wide(static_cast<double>(n)));
  return guess + guess * residual;
}

// theta^(-i / pairs), i = 0 .. pairs-1. exp(-u) u <= 1/e keeps the absolute error of every one of them, and so of
// every angle, near that of the root.
std::vector<WideNumber> unscaled_frequencies(double theta, std::int64_t pairs) {
  const WideNumber ratio = root(theta, pairs);
  std::vector<WideNumber> result;
  for (std::int64_t i = 0; i < pairs; ++i) result.push_back(WideNumber{1, 0} / power(ratio, i));
  return result;
}

WideNumber scaled(const WideNumber& f, const NoScaling&) { return f; }

WideNumber scaled(const WideNumber& f, const LinearScaling& rule) { return f / wide(rule.factor); }

// Wavelengths against L / high and L / low: compared as L f against 2 pi high and 2 pi low, which turns the
// inequalities round. Pairs on a boundary are in the blend, where m is 1 or 0 and the formulas meet.
WideNumber scaled(const WideNumber& f, const Llama3Scaling& rule) {
  const WideNumber length = wide(static_cast<double>(rule.original_max_position_embeddings));
  const WideNumber turns = length * f / two_pi();  // L / W: how often the pair turns within the original context
  const WideNumber slow = f / wide(rule.factor);
  if (turns.hi > rule.high_freq_factor) return f;
  if (turns.hi < rule.low_freq_factor) return slow;
  const WideNumber width = wide(rule.high_freq_factor) + -wide(rule.low_freq_factor);
  if (width.hi == 0) return f;
  const WideNumber m = (turns + -wide(rule.low_freq_factor)) / width;
  return (WideNumber{1, 0} + -m) * slow + m * f;
}

// The arithmetic's part of the bound.
double slack_of(double xa, double xb) { return 0x1p-20 * (std::fabs(xa) + std::fabs(xb)); }

double bound_of(DType dtype, double expected, double slack) {
  const double reach = std::fabs(expected) + slack;
  return std::isfinite(reach) ? half_ulp(dtype, reach) + slack : std::numeric_limits<double>::infinity();
}

}  // namespace

Oracle::Oracle(const RopeSpec& spec)
    : spec_(spec), frequencies_(unscaled_frequencies(spec.theta, spec.rotary_dim / 2)) {
  for (WideNumber& f : frequencies_) {
    f = std::visit([&f](const auto& rule) { return scaled(f, rule); }, spec_.scaling);
  }
}

long double Oracle::angle(std::int64_t pair, std::int64_t position) const {
  // An int64 needs 63 bits: a long double of 64 holds it.
  const WideNumber p{static_cast<long double>(position), 0};
  const WideNumber product = p * frequencies_[static_cast<std::size_t>(pair)];
  const WideNumber turns{rintl(product.hi / kTwoPiHi), 0};
  const WideNumber rest = product + -(turns * two_pi());
  return rest.hi + rest.lo;
}

Angles Oracle::angles(std::int64_t position) const {
  Angles result;
  result.cos.reserve(frequencies_.size());
  result.sin.reserve(frequencies_.size());
  const double sign = spec_.direction == Direction::adjoint ? -1.0 : 1.0;
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const long double t = angle(i, position);
    result.cos.push_back(static_cast<double>(cosl(t)));
    result.sin.push_back(sign * static_cast<double>(sinl(t)));
  }
  return result;
}

const Angles& Oracle::at(std::int64_t position) {
  const auto found = remembered_.find(position);
  if (found != remembered_.end()) return found->second;
  if (remembered_.size() * frequencies_.size() > (std::size_t{1} << 21)) remembered_.clear();
  return remembered_.emplace(position, angles(position)).first->second;
}

Oracle::Pair Oracle::lanes(const Operand& operand, std::int64_t pair) const {
  if (spec_.layout == Layout::interleaved) {
    return {operand.first_lane + 2 * pair, operand.first_lane + 2 * pair + 1};
  }
  return {operand.first_lane + pair, operand.first_lane + pair + pairs()};
}

void Oracle::expect(const Angles& angles, const Operand& operand, std::span<const double> in, std::span<double> out,
                    std::span<double> bound) const {
  for (std::size_t lane = 0; lane < in.size(); ++lane) {
    out[lane] = in[lane];
    bound[lane] = 0;
  }
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const Pair pair = lanes(operand, i);
    const auto a = static_cast<std::size_t>(pair.a);
    const auto b = static_cast<std::size_t>(pair.b);
    const double c = angles.cos[static_cast<std::size_t>(i)];
    const double s = angles.sin[static_cast<std::size_t>(i)];
    const double slack = slack_of(in[a], in[b]);
    out[a] = in[a] * c - in[b] * s;
    out[b] = in[b] * c + in[a] * s;
    bound[a] = bound_of(spec_.dtype, out[a], slack);
    bound[b] = bound_of(spec_.dtype, out[b], slack);
  }
}

void Oracle::check(const Angles& angles, const Operand& operand, const HeadRow& before, const HeadRow& after,
                   const ElementIndex& index, Comparison& result) const {
  const DType dtype = spec_.dtype;
  const auto bits_of = [dtype](const HeadRow& row, std::int64_t lane) {
    return load_bits(dtype, row.data, lane * row.lane_stride);
  };
  ElementIndex here = index;
  for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) {
    if (lane == operand.first_lane) lane += spec_.rotary_dim;
    if (lane >= operand.head_dim) break;
    here.lane = lane;
    result.copied(dtype, here, bits_of(before, lane), bits_of(after, lane));
  }
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const Pair pair = lanes(operand, i);
    const double xa = decode(dtype, bits_of(before, pair.a));
    const double xb = decode(dtype, bits_of(before, pair.b));
    const double c = angles.cos[static_cast<std::size_t>(i)];
    const double s = angles.sin[static_cast<std::size_t>(i)];
    const double slack = slack_of(xa, xb);
    const double ya = xa * c - xb * s;
    const double yb = xb * c + xa * s;
    here.lane = pair.a;
    result.rotated(dtype, here, ya, bound_of(dtype, ya, slack), slack, decode(dtype, bits_of(after, pair.a)));
    here.lane = pair.b;
    result.rotated(dtype, here, yb, bound_of(dtype, yb, slack), slack, decode(dtype, bits_of(after, pair.b)));
  }
}

}  // namespace ropejit::internal
