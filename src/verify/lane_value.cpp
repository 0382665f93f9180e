#include "verify/lane_value.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ropejit::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// What is 0 for certain stays so, and what may or may not have overflowed has any error. A double holds products of
// two numbers of fp32, and rounds their sums so finely that rounding again does no harm: what is known stays known.
LaneValue rounded(DType dtype, const LaneValue& lane) {
  if (!std::isfinite(lane.value) || std::isinf(lane.error)) return lane;
  if (lane.error == 0) return {decode(dtype, encode(dtype, lane.value)), 0};
  const double magnitude = std::fabs(lane.value);
  if (magnitude - lane.error >= overflow_threshold(dtype)) return {std::copysign(kInfinity, lane.value), 0};
  if (magnitude + lane.error >= overflow_threshold(dtype)) return {lane.value, kInfinity};
  return {lane.value, lane.error + half_ulp(dtype, magnitude + lane.error)};
}

LaneValue with_error(double value, double error) { return {value, std::isfinite(value) ? error : 0}; }

bool has_sign(const LaneValue& lane) { return lane.error == 0 || std::fabs(lane.value) > lane.error; }

}  // namespace

LaneValue in_fp32(const LaneValue& lane) { return rounded(DType::fp32, lane); }

LaneValue narrowed(DType dtype, const LaneValue& lane) {
  LaneValue result = rounded(dtype, lane);
  result.is_element = true;
  return result;
}

// 0 times what may have overflowed is 0 or NaN, so an infinite error stays.
LaneValue product(const LaneValue& a, const LaneValue& b) {
  const double value = a.value * b.value;
  if (std::isinf(a.error) || std::isinf(b.error)) return with_error(value, kInfinity);
  const double error = std::fabs(a.value) * b.error + a.error * std::fabs(b.value) + a.error * b.error;
  // 0 times what may be of either sign is 0 of either.
  const bool is_either_zero = error == 0 && !(has_sign(a) && has_sign(b));
  return with_error(value, is_either_zero ? std::numeric_limits<double>::denorm_min() : error);
}

LaneValue sum(const LaneValue& a, const LaneValue& b) { return with_error(a.value + b.value, a.error + b.error); }

LaneValue held(const LaneValue& lane, double limit) {
  if (std::isnan(lane.value)) return lane;
  const auto hold = [limit](double value) { return std::clamp(value, -limit, limit); };
  const double value = hold(lane.value);
  return {value, std::max(hold(lane.value + lane.error) - value, value - hold(lane.value - lane.error))};
}

}  // namespace ropejit::internal
