// How lanes go through an operand's stages: the part of the oracle between load and store.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "verify/oracle.hpp"
#include "verify/stage_rule.hpp"
#include "verify/usual_rounding.hpp"

namespace ropejit::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

LaneTerms first_lane(const LaneValue& a, const LaneValue& b, double cos, double sin) {
  return {a.value, cos, b.value, -sin, a.error, b.error};
}
LaneTerms second_lane(const LaneValue& a, const LaneValue& b, double cos, double sin) {
  return {b.value, cos, a.value, sin, b.error, a.error};
}

// Lanes that are known, turned by known numbers, have known bits where every step is rounded by itself.
LaneBound turned(const RoundingRule& rule, const LaneTerms& terms, const Angles& angles) {
  if (angles.known && rule.rounding != Rounding::exact && terms.x_error == 0 && terms.y_error == 0) {
    return {decode(rule.out, lane_bits(rule, terms)), 0, 0, rule.out};
  }
  return lane_bound(rule, terms, angles.scale);
}

// A bound as the lane that goes on.
LaneValue as_lane(const LaneBound& bound, bool is_element) {
  if (!std::isfinite(bound.value) || bound.bound == 0) return {bound.value, 0, is_element};
  const double end = overflow_threshold(bound.overflow);
  if (std::fabs(bound.value) - bound.slack >= end) return {std::copysign(kInfinity, bound.value), 0};
  if (!(std::fabs(bound.value) + bound.slack < end)) return {bound.value, kInfinity};
  return {bound.value, bound.bound, is_element};
}

}  // namespace

template <class Visit>
void Oracle::turn(const Angles& angles, const Operand& operand, const RoundingRule& rule,
                  const std::vector<LaneValue>& lanes, const Visit& visit) const {
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const Pair pair = this->lanes(spec_.layout, operand, i);
    const Pair written = this->lanes(spec_.layout_out.value_or(spec_.layout), operand, i);
    const LaneValue& a = lanes[static_cast<std::size_t>(pair.a)];
    const LaneValue& b = lanes[static_cast<std::size_t>(pair.b)];
    const double c = angles.cos[static_cast<std::size_t>(i)];
    const double s = angles.sin[static_cast<std::size_t>(i)];
    visit(static_cast<std::size_t>(written.a), turned(rule, first_lane(a, b, c, s), angles));
    visit(static_cast<std::size_t>(written.b), turned(rule, second_lane(a, b, c, s), angles));
  }
}

std::vector<LaneValue> Oracle::normed(const Operand& operand, const std::vector<LaneValue>& lanes,
                                      const RowData& data) const {
  const Norm& norm = *operand.norm;
  const NormRule rule{norm, spec_.dtype, spec_.round_after};
  const bool is_by_token = norm.span == NormSpan::token;
  StatisticValue statistic;
  if (norm.statistic != Statistic::computed) {
    if (!data.given) throw std::invalid_argument("a head with a norm of a given statistic needs it");
    const std::int64_t heads = !is_by_token ? 1 : norm.global_heads != 0 ? norm.global_heads : operand.heads;
    const auto count = static_cast<std::int64_t>(normed_lanes_of(norm, lanes.size()).count);
    statistic = given_statistic(rule, *data.given, heads * count);
  } else if (is_by_token) {
    if (!data.of_token) throw std::invalid_argument("a head with a norm over the token needs the token's statistic");
    statistic = *data.of_token;
  } else {
    statistic = statistic_of(rule, {&lanes, 1});
  }
  if (norm.weight == NormWeight::none) return normed_lanes(rule, statistic, lanes, {});
  constexpr const char* kNoWeights = "a head with a norm needs a weight for each lane";
  constexpr const char* kNoBiases = "a head with a norm of biases needs one for each lane";
  if (norm.weight == NormWeight::lanes && data.weights.size() != lanes.size()) {
    throw std::invalid_argument(kNoWeights);
  }
  const std::int64_t head = norm.weight == NormWeight::heads ? data.head : 0;
  return normed_lanes(
      rule, statistic, lanes, part_of(data.weights, head, operand.head_dim, kNoWeights),
      norm.bias ? part_of(data.norm_biases, head, operand.head_dim, kNoBiases) : std::span<const double>{});
}

std::vector<LaneValue> Oracle::walked(const Angles& angles, const Operand& operand, std::span<const StageName> stages,
                                      std::vector<LaneValue> lanes, const RowData& data) const {
  for (const StageName stage : stages) {
    if (stage == StageName::norm) {
      lanes = normed(operand, lanes, data);
    } else if (stage == StageName::rotate) {
      const bool is_rounded = spec_.round_after.rotation && spec_.dtype != DType::fp32;
      const RoundingRule rule{spec_.rounding, spec_.dtype, is_rounded ? spec_.dtype : DType::fp32};
      const bool is_element = is_rounded || spec_.rounding == Rounding::p1;
      const std::vector<LaneValue> before = lanes;
      turn(angles, operand, rule, before,
           [&](std::size_t lane, const LaneBound& bound) { lanes[lane] = as_lane(bound, is_element); });
    } else {
      lanes = staged_lanes(stage, operand, spec_.dtype, spec_.round_after, std::move(lanes), data);
    }
  }
  return lanes;
}

LaneBound Oracle::stored(const Operand& operand, const LaneValue& lane) const {
  const DType out = operand.dtype_out.value_or(spec_.dtype);
  if (lane.error == 0) return {decode(out, encode(out, lane.value)), 0, 0, out};
  // What was rounded to the type already is stored as it is, and so is anything in fp32.
  const bool as_it_is = out == DType::fp32 || (lane.is_element && out == spec_.dtype);
  const double reach = std::fabs(lane.value) + lane.error;
  const double last = as_it_is || !std::isfinite(reach) ? 0 : half_ulp(out, reach);
  return {lane.value, lane.error + last, lane.error, out};
}

std::vector<LaneBound> Oracle::expected(const Angles& angles, const Operand& operand, std::vector<LaneValue> lanes,
                                        const RowData& data) const {
  const std::vector<StageName> stages = stages_in_order(operand, turns(angles, operand));
  const bool ends_turned = !stages.empty() && stages.back() == StageName::rotate;
  const std::span<const StageName> before(stages.data(), stages.size() - (ends_turned ? 1 : 0));
  lanes = walked(angles, operand, before, std::move(lanes), data);
  std::vector<LaneBound> made;
  made.reserve(lanes.size());
  for (const LaneValue& lane : lanes) made.push_back(stored(operand, lane));
  if (!ends_turned) return made;
  const RoundingRule rule{spec_.rounding, spec_.dtype, operand.dtype_out.value_or(spec_.dtype)};
  turn(angles, operand, rule, lanes, [&](std::size_t lane, const LaneBound& bound) { made[lane] = bound; });
  return made;
}

StatisticValue Oracle::statistic(const Angles& angles, const Operand& operand, std::span<const HeadRow> heads,
                                 const RowData& data) const {
  const UsualRounding arithmetic;
  const Norm& norm = operand.norm.value();
  const bool is_by_token = norm.span == NormSpan::token;
  if (heads.size() != (is_by_token ? static_cast<std::size_t>(operand.heads) : 1)) {
    throw std::invalid_argument("a statistic is of one head, or of all of the token");
  }
  const std::vector<StageName> stages = stages_in_order(operand, turns(angles, operand));
  const auto norms_place = std::find(stages.begin(), stages.end(), StageName::norm) - stages.begin();
  const std::span<const StageName> before(stages.data(), static_cast<std::size_t>(norms_place));
  std::vector<std::vector<LaneValue>> lanes;
  RowData of_head = data;
  for (std::size_t head = 0; head < heads.size(); ++head) {
    if (is_by_token) of_head.head = static_cast<std::int64_t>(head);
    lanes.push_back(walked(angles, operand, before, lanes_of(operand, heads[head]), of_head));
  }
  return statistic_of({norm, spec_.dtype, spec_.round_after}, lanes);
}

}  // namespace ropejit::internal
