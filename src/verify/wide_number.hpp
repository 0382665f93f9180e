// Numbers as sums of two long doubles: about 128 bits where long double has 64, as on x86. Correct only if the compiler
// keeps to the standard: no -ffast-math.
#pragma once

#include <cstdint>

namespace ropejit::internal {

/// A number as hi + lo, |lo| at most half an ulp of hi.
struct WideNumber {
  long double hi = 0;
  long double lo = 0;
};

WideNumber wide(double value);
/// An integer, exactly: an int64 needs 63 bits.
WideNumber wide_integer(std::int64_t value);
WideNumber wide_two_pi();

WideNumber operator+(const WideNumber& x, const WideNumber& y);
WideNumber operator-(const WideNumber& x);
WideNumber operator-(const WideNumber& x, const WideNumber& y);
WideNumber operator*(const WideNumber& x, const WideNumber& y);
WideNumber operator/(const WideNumber& x, const WideNumber& y);
bool operator<(const WideNumber& x, const WideNumber& y);

/// base^exponent, `exponent` 0 or above.
WideNumber power(WideNumber base, std::int64_t exponent);
/// value^(1/n), value above 0.
WideNumber root(double value, std::int64_t n);
/// e^x, |x| up to some 10,000.
WideNumber exponential(const WideNumber& x);
/// The natural logarithm, x above 0.
WideNumber logarithm(const WideNumber& x);
WideNumber rounded_down(const WideNumber& x);
/// The nearest fp32 number, ties to the even one.
float to_float(const WideNumber& x);

}  // namespace ropejit::internal
