// What the norms of include/ropejit/spec.hpp (Norm, RoundAfter) make of lanes, in wide arithmetic, and how far fp32 and
// the rounding points may be from that.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ropejit/spec.hpp"
#include "verify/lane_value.hpp"

namespace ropejit::internal {

struct NormRule {
  Norm norm;                  ///< its eps is used as fp32
  DType dtype = DType::bf16;  ///< the spec's, which values are rounded to
  RoundAfter round_after;     ///< where, if dtype has 16 bits
};

/// What a norm knows of its lanes before it divides them.
struct StatisticValue {
  LaneValue r;
  LaneValue sum;   ///< of squares: of layer norms, of what is left without the mean
  LaneValue mean;  ///< of layer norms
};

/// Of the lanes that are normed of one head, or for NormSpan::token of all heads; each with all its lanes. A NaN makes
/// r NaN, and squares whose sum is beyond fp32 make it 0. Errors of the lanes go into r, and are nothing where eps is
/// far above the lanes.
StatisticValue statistic_of(const NormRule& rule, std::span<const std::vector<LaneValue>> heads);

/// The statistic that is given: r, or the sum of squares of `lanes` lanes. Taken as exact.
StatisticValue given_statistic(const NormRule& rule, double given, std::int64_t lanes);

/// The lanes that are normed of a head of so many, as first and count.
struct NormedLanes {
  std::size_t first;
  std::size_t count;
};
NormedLanes normed_lanes_of(const Norm& norm, std::size_t head_dim);

/// The lanes of a head after its norm; those outside its range as they were. `weights` are as many as lanes, or none
/// for NormWeight::none, and so are `biases`. A NaN makes all lanes NaN, and squares whose sum is beyond fp32 all lanes
/// 0, but for infinite ones: those are NaN.
std::vector<LaneValue> normed_lanes(const NormRule& rule, const StatisticValue& statistic,
                                    std::span<const LaneValue> lanes, std::span<const double> weights,
                                    std::span<const double> biases = {});

}  // namespace ropejit::internal
