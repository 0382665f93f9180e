#include "verify/oracle.hpp"

#include <cmath>
#include <utility>

#include "verify/rope_formulas.hpp"
#include "verify/stage_rule.hpp"
#include "verify/usual_rounding.hpp"

namespace ropejit::internal {

Oracle::Oracle(const RopeSpec& spec) : Oracle(spec, UsualRounding()) {}

Oracle::Oracle(const RopeSpec& spec, const UsualRounding&)
    : spec_(spec),
      frequencies_(oracle_frequencies(spec)),
      axes_(oracle_pair_axes(spec)),
      attention_scale_(oracle_attention_scale(spec)) {
  if (spec.direction == Direction::inverse) attention_scale_ = 1.0 / attention_scale_;
  if (spec.direction == Direction::shift) attention_scale_ = 1.0;
  if (spec.angle != AngleRounding::exact) {
    for (WideNumber& w : frequencies_) w = WideNumber{static_cast<long double>(to_float(w)), 0};
  }
}

long double Oracle::angle(std::int64_t pair, std::int64_t position) const {
  const UsualRounding arithmetic;
  const WideNumber& w = frequencies_[static_cast<std::size_t>(pair)];
  if (spec_.angle == AngleRounding::fp32) {
    // A product of two floats is a double, so this rounds once.
    const double product = static_cast<double>(static_cast<float>(position)) * static_cast<double>(w.hi);
    return static_cast<long double>(static_cast<float>(product));
  }
  const WideNumber product = wide_integer(position) * w;
  const WideNumber turns{rintl(product.hi / wide_two_pi().hi), 0};
  const WideNumber rest = product - turns * wide_two_pi();
  return rest.hi + rest.lo;
}

Angles Oracle::angles(std::span<const std::int64_t> positions) const {
  const UsualRounding arithmetic;
  Angles result;
  result.cos.reserve(frequencies_.size());
  result.sin.reserve(frequencies_.size());
  result.scale = attention_scale_;
  const double sine_scale = spec_.direction == Direction::adjoint || spec_.direction == Direction::inverse
                                ? -attention_scale_
                                : attention_scale_;
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const long double t = angle(i, positions[static_cast<std::size_t>(axis(i))]);
    result.cos.push_back(attention_scale_ * static_cast<double>(cosl(t)));
    result.sin.push_back(sine_scale * static_cast<double>(sinl(t)));
  }
  return result;
}

Angles Oracle::angles(std::int64_t position) const {
  const std::vector<std::int64_t> same(static_cast<std::size_t>(axes()), position);
  return angles(same);
}

const Angles& Oracle::at(std::int64_t position) {
  const auto found = remembered_.find(position);
  if (found != remembered_.end()) return found->second;
  if (remembered_.size() * frequencies_.size() > (std::size_t{1} << 21)) remembered_.clear();
  return remembered_.emplace(position, angles(position)).first->second;
}

Oracle::Pair Oracle::lanes(Layout layout, const Operand& operand, std::int64_t pair) const {
  const std::int64_t first = operand.first_lane;
  switch (layout) {
    case Layout::interleaved: return {first + 2 * pair, first + 2 * pair + 1};
    case Layout::split_sections: {
      const std::int64_t section = pairs() / axes();
      const std::int64_t a = first + 2 * section * (pair / section) + pair % section;
      return {a, a + section};
    }
    case Layout::split_half: break;
  }
  return {first + pair, first + pair + pairs()};
}

bool Oracle::turns(const Angles& angles, const Operand& operand) const {
  return operand.rotates != false && !angles.cos.empty();
}

bool Oracle::turns(const Operand& operand, std::int64_t lane) const {
  return lane >= operand.first_lane && lane < operand.first_lane + spec_.rotary_dim;
}

bool Oracle::stays(const Angles& angles, const Operand& operand, std::int64_t lane) const {
  return !has_stage_beside_rotation(operand) && !(turns(angles, operand) && turns(operand, lane));
}

std::vector<LaneValue> Oracle::lanes_of(const Operand& operand, const HeadRow& before) const {
  std::vector<LaneValue> lanes;
  lanes.reserve(static_cast<std::size_t>(operand.head_dim));
  for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) {
    lanes.push_back({decode(spec_.dtype, load_bits(spec_.dtype, before.data, lane * before.lane_stride)), 0});
  }
  return lanes;
}

void Oracle::expect(const Angles& angles, const Operand& operand, std::span<const double> in, std::span<double> out,
                    std::span<double> bound, const RowData& data) const {
  const UsualRounding arithmetic;
  std::vector<LaneValue> lanes;
  for (const double value : in) lanes.push_back({value, 0});
  const std::vector<LaneBound> made = expected(angles, operand, std::move(lanes), data);
  for (std::size_t lane = 0; lane < made.size(); ++lane) {
    const bool is_still = stays(angles, operand, static_cast<std::int64_t>(lane));
    out[lane] = is_still ? in[lane] : made[lane].value;
    bound[lane] = is_still ? 0 : made[lane].bound;
  }
}

void Oracle::check_statistic(const LaneValue& wanted, float got, const ElementIndex& index, Comparison& result) {
  result.rotated(DType::fp32, index, wanted.value, wanted.error, wanted.error, static_cast<double>(got));
}

void Oracle::check_copied(const Operand& operand, const Pair& lane, const HeadRow& before, const HeadRow& after,
                          const ElementIndex& index, Comparison& result) const {
  const DType out = operand.dtype_out.value_or(spec_.dtype);
  const ElementBits was = load_bits(spec_.dtype, before.data, lane.a * before.lane_stride);
  const ElementBits is = load_bits(out, after.data, lane.b * after.lane_stride);
  ElementIndex here = index;
  here.lane = lane.b;
  const double value = decode(spec_.dtype, was);
  if (out == spec_.dtype) {
    result.copied(out, here, was, is);
  } else if (std::isnan(value)) {
    result.rotated(out, here, value, 0, 0, decode(out, is));  // any NaN
  } else {
    result.copied(out, here, encode(out, value), is);
  }
}

void Oracle::check_bound(const Operand& operand, std::int64_t lane, const LaneBound& bound, const HeadRow& after,
                         const ElementIndex& index, Comparison& result) const {
  const DType out = operand.dtype_out.value_or(spec_.dtype);
  ElementIndex here = index;
  here.lane = lane;
  const ElementBits bits = load_bits(out, after.data, lane * after.lane_stride);
  if (bound.bound == 0 && !std::isnan(bound.value)) return result.copied(out, here, encode(out, bound.value), bits);
  const double is = decode(out, bits);
  // The type that overflows first differs from that written where p1 rounds to the tensor's own.
  result.rotated(std::isinf(is) ? bound.overflow : out, here, bound.value, bound.bound, bound.slack, is);
}

void Oracle::check_zero(const Operand& operand, std::int64_t lane, const HeadRow& after, const ElementIndex& index,
                        Comparison& result) const {
  const DType out = operand.dtype_out.value_or(spec_.dtype);
  ElementIndex here = index;
  here.lane = lane;
  result.copied(out, here, 0, load_bits(out, after.data, lane * after.lane_stride));
}

void Oracle::check_lanes(const Angles& angles, const Operand& operand, const HeadRow& before, const HeadRow& after,
                         const ElementIndex& index, Comparison& result, const RowData& data) const {
  const UsualRounding arithmetic;
  const std::vector<LaneBound> made = expected(angles, operand, lanes_of(operand, before), data);
  for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) {
    if (stays(angles, operand, lane)) {
      check_copied(operand, {lane, lane}, before, after, index, result);
    } else {
      check_bound(operand, lane, made[static_cast<std::size_t>(lane)], after, index, result);
    }
  }
}

void Oracle::check(const Angles& angles, const Operand& operand, const HeadRow& before, const HeadRow& after,
                   const ElementIndex& index, Comparison& result, const RowData& data) const {
  check_lanes(angles, operand, before, after, index, result, data);
}

void Oracle::check_copy(const Operand& operand, const HeadRow& before, const HeadRow& after, const ElementIndex& index,
                        Comparison& result, const RowData& data) const {
  check_lanes({}, operand, before, after, index, result, data);
}

void Oracle::check_padding(Padding padding, const Operand& operand, const HeadRow& before, const HeadRow& after,
                           const ElementIndex& index, Comparison& result, const RowData& data) const {
  if (operand.rotates == false) return check_copy(operand, before, after, index, result, data);
  const UsualRounding arithmetic;
  if (padding == Padding::zero && has_stage_beside_rotation(operand)) {
    for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) check_zero(operand, lane, after, index, result);
    return;
  }
  for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) {
    if (!turns(operand, lane)) check_copied(operand, {lane, lane}, before, after, index, result);
  }
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const Pair pair = lanes(spec_.layout, operand, i);
    const Pair written = lanes(spec_.layout_out.value_or(spec_.layout), operand, i);
    for (const auto& [from, to] : {Pair{pair.a, written.a}, Pair{pair.b, written.b}}) {
      if (padding == Padding::keep) {
        check_copied(operand, {from, to}, before, after, index, result);
      } else {
        check_zero(operand, to, after, index, result);
      }
    }
  }
}

}  // namespace ropejit::internal
