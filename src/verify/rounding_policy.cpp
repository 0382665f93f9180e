#include "verify/rounding_policy.hpp"

#include <cmath>
#include <limits>

namespace ropejit::internal {
namespace {

constexpr double kArithmetic = 0x1p-20;
// Products of fp32 subnormals lose this much, however small the factors.
constexpr double kUnderflow = 0x1p-148;

double rounded(DType dtype, double value) { return decode(dtype, encode(dtype, value)); }

// As a GPU or CPU rounds to a narrow type what it computes in fp32.
double rounded_through_fp32(DType dtype, double value) { return rounded(dtype, rounded(DType::fp32, value)); }

double half_ulp_within(DType dtype, double reach) {
  return std::isfinite(reach) ? half_ulp(dtype, reach) : std::numeric_limits<double>::infinity();
}

DType first_to_overflow(DType a, DType b) { return overflow_threshold(a) < overflow_threshold(b) ? a : b; }

// What a policy rounds cos and sin to.
DType turn_type(const RoundingRule& rule) {
  return rule.rounding == Rounding::p1 || rule.rounding == Rounding::p2 ? rule.dtype : DType::fp32;
}

}  // namespace

LaneBound lane_bound(const RoundingRule& rule, const LaneTerms& terms, double scale) {
  // As great as they may be.
  const double x = std::fabs(terms.x) + terms.x_error;
  const double y = std::fabs(terms.y) + terms.y_error;
  const double value = terms.x * terms.cos + terms.y * terms.sin;
  double slack = kArithmetic * scale * (x + y) + kUnderflow;
  if (terms.x_error != 0) slack += terms.x_error * std::fabs(terms.cos);
  if (terms.y_error != 0) slack += terms.y_error * std::fabs(terms.sin);
  double cos_error = 0;
  double sin_error = 0;
  if (turn_type(rule) != DType::fp32) {
    cos_error = half_ulp_within(rule.dtype, std::fabs(terms.cos) + kArithmetic * scale);
    sin_error = half_ulp_within(rule.dtype, std::fabs(terms.sin) + kArithmetic * scale);
    slack += x * cos_error + y * sin_error;
  }
  if (rule.rounding != Rounding::p1 || rule.dtype == DType::fp32) {
    return {value, slack + half_ulp_within(rule.out, std::fabs(value) + slack), slack, rule.out};
  }
  const double cos_reach = std::fabs(terms.cos) + cos_error + kArithmetic * scale;
  const double sin_reach = std::fabs(terms.sin) + sin_error + kArithmetic * scale;
  slack += half_ulp_within(rule.dtype, x * cos_reach) + half_ulp_within(rule.dtype, y * sin_reach);
  double bound = slack + half_ulp_within(rule.dtype, std::fabs(value) + slack);
  // fp32 and the type itself hold the sum as it is.
  if (rule.out != rule.dtype && rule.out != DType::fp32) {
    slack = bound;
    bound += half_ulp_within(rule.out, std::fabs(value) + bound);
  }
  return {value, bound, slack, first_to_overflow(rule.dtype, rule.out)};
}

ElementBits lane_bits(const RoundingRule& rule, const LaneTerms& terms) {
  const double cos = rounded(turn_type(rule), terms.cos);
  const double sin = rounded(turn_type(rule), terms.sin);
  // Products of two fp32 numbers are doubles; sums of two are not, but rounding those to fp32 as well changes nothing
  // (a double has more than twice the bits).
  const DType step = rule.rounding == Rounding::p1 ? rule.dtype : DType::fp32;
  const double first = rounded_through_fp32(step, terms.x * cos);
  const double second = rounded_through_fp32(step, terms.y * sin);
  return encode(rule.out, rounded_through_fp32(step, first + second));
}

}  // namespace ropejit::internal
