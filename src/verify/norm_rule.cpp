#include "verify/norm_rule.hpp"

#include <cmath>
#include <limits>

namespace ropejit::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Each rounding of fp32 costs at most 2^-24 of what it rounds. Within r: a square, eleven additions (a tree over 1,024
// lanes is as deep), the fp32 1/head_dim and the product with it, the addition of eps: 15, of which the root keeps
// half; then the reciprocal root's own 1.5: 9 times 2^-24, which is 2^-20.83. Squares that underflow lose less
// than 2^-149 each, which is nothing beside the least eps. The rest is room for the second order.
constexpr double kRootError = 0x1.6a09e667f3bcdp-21;  // 2^-20.5

// The sum's own error is below this, so a sum that is farther from where fp32 overflows is on a known side of it.
constexpr double kNearOverflow = 1e-3;

// A lane after one more rounding. What is 0 for certain stays so, and what may or may not have overflowed has any
// error.
LaneValue rounded(DType dtype, const LaneValue& lane) {
  if (!std::isfinite(lane.value) || std::isinf(lane.error)) return lane;
  const double magnitude = std::fabs(lane.value);
  if (magnitude + lane.error == 0) return lane;
  if (magnitude - lane.error >= overflow_threshold(dtype)) return {std::copysign(kInfinity, lane.value), 0};
  if (magnitude + lane.error >= overflow_threshold(dtype)) return {lane.value, kInfinity};
  return {lane.value, lane.error + half_ulp(dtype, magnitude + lane.error)};
}

// Factors that are exact. 0 times what may have overflowed is 0 or NaN, so its error stays infinite.
LaneValue times(const LaneValue& lane, double factor) {
  const double value = lane.value * factor;
  if (!std::isfinite(value)) return {value, 0};
  return {value, std::isinf(lane.error) ? kInfinity : lane.error * std::fabs(factor)};
}

}  // namespace

LaneValue reciprocal_root(std::span<const double> lanes, double eps) {
  double sum = 0;
  for (const double lane : lanes) sum += lane * lane;
  if (std::isnan(sum)) return {sum, 0};
  const double end = overflow_threshold(DType::fp32);
  if (sum >= end * (1 + kNearOverflow)) return {0, 0};
  // eps is a fp32 number, whatever a person wrote.
  const double mean = sum / static_cast<double>(lanes.size());
  const double root = 1 / std::sqrt(mean + static_cast<double>(static_cast<float>(eps)));
  if (sum <= end * (1 - kNearOverflow)) return {root, root * kRootError};
  // r or 0: the middle, and an error that reaches both.
  return {root / 2, root / 2 + root * kRootError};
}

std::vector<LaneValue> normed_lanes(const NormRule& rule, std::span<const double> lanes,
                                    std::span<const double> weights) {
  const LaneValue root = rule.r ? LaneValue{*rule.r, 0} : reciprocal_root(lanes, rule.eps);
  const bool narrow = rule.dtype != DType::fp32;
  std::vector<LaneValue> result;
  result.reserve(lanes.size());
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    LaneValue lane = rounded(DType::fp32, times(root, lanes[i]));
    if (narrow && rule.round_after.norm) lane = rounded(rule.dtype, lane);
    lane = rounded(DType::fp32, times(lane, weights[i]));
    if (narrow && rule.round_after.weight) lane = rounded(rule.dtype, lane);
    result.push_back(lane);
  }
  return result;
}

}  // namespace ropejit::internal
