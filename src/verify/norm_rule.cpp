#include "verify/norm_rule.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace ropejit::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Each rounding of fp32 costs at most this much of what it rounds.
constexpr double kRounding = 0x1p-24;

// Within r of a head: a square, eleven additions (a tree over 1,024 lanes is as deep), the fp32 1/head_dim and the
// product with it, the addition of eps: 15, of which the root keeps half; of layer norms the two of a difference that
// is squared; then the reciprocal root's own 1.5: 10 roundings, which is 2^-20.68. The rest is room for the second
// order.
constexpr double kRootError = 0x1.6a09e667f3bcdp-21;  // 2^-20.5

// Of a sum of a head's squares that is handed out: a product and eleven additions.
constexpr double kSumError = 12.5 * kRounding;

// Of a sum that is given: the share, the product with it and eps, of which the root keeps half, and the root's own 1.5.
constexpr double kGivenSumError = 3.25 * kRounding;

// Squares and their sums that underflow lose at most this much each.
constexpr double kUnderflow = 0x1p-149;

// The sum's own error is below this, so a sum that is farther from where fp32 overflows is on a known side of it.
constexpr double kNearOverflow = 1e-3;

double eps_of(const Norm& norm) { return static_cast<double>(static_cast<float>(norm.eps)); }

bool is_narrow(const NormRule& rule) { return rule.dtype != DType::fp32; }

// Additions that a head's sum goes through where the heads of a token are added: with heads = m 2^e, m odd, those of m
// neighbours, then e of pairs.
double additions_of(std::size_t heads) {
  const int doublings = std::countr_zero(heads);
  return static_cast<double>((heads >> doublings) - 1) + doublings;
}

// Likewise a lane's within a head: those of a thread's own four, and the tree's.
double additions_within(std::size_t lanes) { return static_cast<double>(std::bit_width(lanes)) + 2; }

// All lanes that one statistic is of.
struct Lanes {
  std::vector<LaneValue> all;
  double relative_depth = 0;  // roundings that come with heads
  double mean_depth = 0;      // additions that a lane goes through
  double count() const { return static_cast<double>(all.size()); }
};

Lanes gathered(const Norm& norm, std::span<const std::vector<LaneValue>> heads) {
  Lanes lanes;
  for (const std::vector<LaneValue>& head : heads) {
    const NormedLanes part = normed_lanes_of(norm, head.size());
    const auto first = head.begin() + static_cast<std::ptrdiff_t>(part.first);
    lanes.all.insert(lanes.all.end(), first, first + static_cast<std::ptrdiff_t>(part.count));
    lanes.mean_depth = additions_within(part.count);
  }
  lanes.relative_depth = additions_of(heads.size());
  lanes.mean_depth += lanes.relative_depth;
  return lanes;
}

// With cancellation the roundings of a sum are as great as its largest parts.
LaneValue mean_of(const Lanes& lanes) {
  double total = 0;
  double magnitude = 0;
  double error = 0;
  for (const LaneValue& lane : lanes.all) {
    total += lane.value;
    magnitude += std::fabs(lane.value);
    error += lane.error;
  }
  const double mean = total / lanes.count();
  if (!std::isfinite(mean)) return {mean, 0};
  if (magnitude + error >= overflow_threshold(DType::fp32) * (1 - kNearOverflow)) return {mean, kInfinity};
  const double roundings = lanes.mean_depth * kRounding * (magnitude + error);
  return {mean, (error + roundings) / lanes.count() + 2 * kRounding * std::fabs(mean) + kUnderflow};
}

// Of (x - mean)^2, without the relative error of its own roundings. An error of the mean is the same for all lanes,
// whose differences from it are 0 together: so it counts by its square alone.
LaneValue squares_of(const Lanes& lanes, const LaneValue& mean) {
  double total = 0;
  double error = 0;
  for (const LaneValue& lane : lanes.all) {
    const double rest = lane.value - mean.value;
    const double most = lane.error + mean.error;
    total += rest * rest;
    if (lane.error != 0) error += 2 * std::fabs(rest) * lane.error;
    error += most * most + kUnderflow;
  }
  if (std::isnan(total)) return {total, 0};
  return {total, std::isnan(error) ? kInfinity : error};
}

// 1 / sqrt(square), which is at least `least`, and off by `error` before it is rooted and by `relative` in all else.
LaneValue rooted(double square, double error, double least, double relative) {
  const double root = 1 / std::sqrt(std::fmax(square, least));
  if (std::isinf(error)) return {root, kInfinity};
  const double most = 1 / std::sqrt(std::fmax(square - error, least));
  const double fewest = 1 / std::sqrt(std::fmax(square + error, least));
  return {root, std::fmax(most - root, root - fewest) + most * relative};
}

// Of squares that come to `total`, which has its error.
LaneValue root_of(const NormRule& rule, const LaneValue& total, double lanes, double relative) {
  if (std::isnan(total.value)) return {total.value, 0};
  const double end = overflow_threshold(DType::fp32);
  if (total.value - total.error >= end * (1 + kNearOverflow)) return {0, 0};
  const double eps = eps_of(rule.norm);
  const bool is_l2 = rule.norm.kind == NormKind::l2;
  const double least = is_l2 ? eps * eps : eps;
  const LaneValue root = is_l2 ? rooted(total.value, total.error, least, relative)
                               : rooted(total.value / lanes + eps, total.error / lanes, least, relative);
  if (total.value + total.error <= end * (1 - kNearOverflow) || std::isinf(root.error)) return root;
  // r or 0: the middle, and an error that reaches both.
  return {root.value / 2, root.value / 2 + root.error};
}

LaneValue overflowing(const LaneValue& total) {
  const double end = overflow_threshold(DType::fp32);
  if (std::isnan(total.value) || total.value + total.error <= end * (1 - kNearOverflow)) return total;
  return total.value - total.error >= end * (1 + kNearOverflow) ? LaneValue{kInfinity, 0}
                                                                : LaneValue{total.value, kInfinity};
}

LaneValue as_used(const NormRule& rule, const LaneValue& r) {
  return is_narrow(rule) && rule.round_after.statistic ? narrowed(rule.dtype, r) : r;
}

}  // namespace

NormedLanes normed_lanes_of(const Norm& norm, std::size_t head_dim) {
  const auto first = static_cast<std::size_t>(norm.first_lane);
  return {first, norm.lanes != 0 ? static_cast<std::size_t>(norm.lanes) : head_dim - first};
}

StatisticValue statistic_of(const NormRule& rule, std::span<const std::vector<LaneValue>> heads) {
  const Lanes lanes = gathered(rule.norm, heads);
  StatisticValue statistic;
  if (rule.norm.kind == NormKind::layer) statistic.mean = mean_of(lanes);
  const LaneValue squares = squares_of(lanes, statistic.mean);
  const double depth = lanes.relative_depth * kRounding;
  statistic.r = as_used(rule, root_of(rule, squares, lanes.count(), kRootError + depth / 2));
  statistic.sum = overflowing({squares.value, squares.error + (squares.value + squares.error) * (kSumError + depth)});
  return statistic;
}

StatisticValue given_statistic(const NormRule& rule, double given, std::int64_t lanes) {
  if (rule.norm.statistic == Statistic::given) return {as_used(rule, {given, 0}), {}, {}};
  const LaneValue total{given, 0};
  return {as_used(rule, root_of(rule, total, static_cast<double>(lanes), kGivenSumError)), total, {}};
}

std::vector<LaneValue> normed_lanes(const NormRule& rule, const StatisticValue& statistic,
                                    std::span<const LaneValue> lanes, std::span<const double> weights,
                                    std::span<const double> biases) {
  const auto point = [&](bool is_rounded, const LaneValue& lane) {
    return is_narrow(rule) && is_rounded ? narrowed(rule.dtype, lane) : lane;
  };
  const LaneValue less_mean{-statistic.mean.value, statistic.mean.error};
  const NormedLanes part = normed_lanes_of(rule.norm, lanes.size());
  std::vector<LaneValue> result(lanes.begin(), lanes.end());
  for (std::size_t i = part.first; i < part.first + part.count; ++i) {
    LaneValue lane = lanes[i];
    if (rule.norm.kind == NormKind::layer) lane = in_fp32(sum(lane, less_mean));
    lane = point(rule.round_after.norm, in_fp32(product(lane, statistic.r)));
    if (!weights.empty()) {
      const LaneValue weight{weights[i], 0};
      const LaneValue factor = rule.norm.plus_one ? in_fp32(sum({1, 0}, weight)) : weight;
      lane = point(rule.round_after.weight, in_fp32(product(lane, factor)));
    }
    if (!biases.empty()) lane = point(rule.round_after.norm_bias, in_fp32(sum(lane, {biases[i], 0})));
    result[i] = lane;
  }
  return result;
}

}  // namespace ropejit::internal
