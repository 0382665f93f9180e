#include "verify/wide_number.hpp"

#include <cmath>
#include <limits>

namespace ropejit::internal {
namespace {

// Sums and products of two-part numbers, after Dekker (1971) and Knuth: errors below a few units of the square of
// long double's epsilon.
WideNumber renormalized(long double hi, long double lo) {
  const long double sum = hi + lo;
  return {sum, lo - (sum - hi)};
}

}  // namespace

WideNumber wide(double value) { return {value, 0}; }

WideNumber wide_integer(std::int64_t value) { return {static_cast<long double>(value), 0}; }

// hi is the nearest long double, lo what it leaves out. On platforms with a wider long double lo is 0.
WideNumber wide_two_pi() {
  constexpr long double kHi = 6.28318530717958647692528676655900576839433879875021164194988918461563281257241799725607L;
  if constexpr (std::numeric_limits<long double>::digits == 64) {
    return {kHi, -1.00331152253366640471146541606615140e-19L};
  }
  return {kHi, 0};
}

WideNumber operator+(const WideNumber& x, const WideNumber& y) {
  const long double sum = x.hi + y.hi;
  const long double part = sum - x.hi;
  const long double error = (x.hi - (sum - part)) + (y.hi - part);
  return renormalized(sum, error + x.lo + y.lo);
}

WideNumber operator-(const WideNumber& x) { return {-x.hi, -x.lo}; }

WideNumber operator-(const WideNumber& x, const WideNumber& y) { return x + -y; }

WideNumber operator*(const WideNumber& x, const WideNumber& y) {
  const long double product = x.hi * y.hi;
  const long double error = fmal(x.hi, y.hi, -product);
  return renormalized(product, error + (x.hi * y.lo + x.lo * y.hi));
}

WideNumber operator/(const WideNumber& x, const WideNumber& y) {
  const long double first = x.hi / y.hi;
  const WideNumber rest = x - WideNumber{first} * y;
  return renormalized(first, rest.hi / y.hi);
}

bool operator<(const WideNumber& x, const WideNumber& y) { return x.hi < y.hi || (x.hi == y.hi && x.lo < y.lo); }

WideNumber power(WideNumber base, std::int64_t exponent) {
  WideNumber result{1, 0};
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = result * base;
    base = base * base;
  }
  return result;
}

// Long double's own root, then one Newton step on r^n = value in two parts.
WideNumber root(double value, std::int64_t n) {
  const WideNumber guess{powl(value, 1.0L / static_cast<long double>(n)), 0};
  const WideNumber reached = power(guess, n);
  const WideNumber residual = (wide(value) - reached) / (reached * wide_integer(n));
  return guess + guess * residual;
}

// The series of x / 2^k, squared k times: 2^k times the error of two parts.
WideNumber exponential(const WideNumber& x) {
  constexpr int kHalvings = 24;
  const WideNumber small{ldexpl(x.hi, -kHalvings), ldexpl(x.lo, -kHalvings)};  // below 0.001
  WideNumber sum{1, 0};
  WideNumber term{1, 0};
  for (int n = 1; n <= 14; ++n) {
    term = term * small / wide_integer(n);
    sum = sum + term;
  }
  for (int i = 0; i < kHalvings; ++i) sum = sum * sum;
  return sum;
}

// Long double's own logarithm y, then one Newton step on exp(y) = x: y + x exp(-y) - 1.
WideNumber logarithm(const WideNumber& x) {
  const WideNumber guess{logl(x.hi), 0};
  return guess + (x * exponential(-guess) - WideNumber{1, 0});
}

WideNumber rounded_down(const WideNumber& x) {
  const long double whole = floorl(x.hi);
  if (whole != x.hi) return {whole, 0};
  return renormalized(whole, floorl(x.lo));
}

// hi's own rounding is wrong where hi is half-way between two floats, and lo decides.
float to_float(const WideNumber& x) {
  const float nearest = static_cast<float>(x.hi);
  if (!std::isfinite(nearest)) return nearest;
  const auto distance = [&x](float to) { return fabsl((x.hi - static_cast<long double>(to)) + x.lo); };
  const long double rest = (x.hi - static_cast<long double>(nearest)) + x.lo;
  const float end = std::numeric_limits<float>::infinity();
  const float neighbour = std::nextafter(nearest, rest < 0 ? -end : end);
  return std::isfinite(neighbour) && distance(neighbour) < distance(nearest) ? neighbour : nearest;
}

}  // namespace ropejit::internal
