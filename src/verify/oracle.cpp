#include "verify/oracle.hpp"

#include <cfenv>
#include <cmath>
#include <stdexcept>

#include "verify/rope_formulas.hpp"

namespace ropejit::internal {

/// While it lives, this thread has the arithmetic that a program starts with; then its own again. The oracle shares
/// nothing with the library, so it has its own.
class UsualRounding {
 public:
  UsualRounding() {
    std::fegetenv(&callers_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~UsualRounding() { std::fesetenv(&callers_); }
  UsualRounding(const UsualRounding&) = delete;
  UsualRounding& operator=(const UsualRounding&) = delete;

 private:
  std::fenv_t callers_{};
};

namespace {

LaneTerms first_lane(const LaneValue& a, const LaneValue& b, double cos, double sin) {
  return {a.value, cos, b.value, -sin, a.error, b.error};
}
LaneTerms second_lane(const LaneValue& a, const LaneValue& b, double cos, double sin) {
  return {b.value, cos, a.value, sin, b.error, a.error};
}

}  // namespace

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

RoundingRule Oracle::rule(const Operand& operand) const {
  return {spec_.rounding, spec_.dtype, operand.dtype_out.value_or(spec_.dtype)};
}

std::vector<LaneValue> Oracle::entering(const Operand& operand, std::span<const double> in,
                                        std::span<const double> weights, std::optional<double> r) const {
  if (operand.norm) {
    const bool is_given = operand.norm->statistic == Statistic::given;
    if (weights.size() != in.size()) throw std::invalid_argument("a head with a norm needs a weight for each lane");
    if (is_given && !r) throw std::invalid_argument("a head with a norm of a given statistic needs it");
    return normed_lanes({operand.norm->eps, spec_.dtype, spec_.round_after, is_given ? r : std::nullopt}, in, weights);
  }
  std::vector<LaneValue> lanes;
  lanes.reserve(in.size());
  for (const double value : in) lanes.push_back({value, 0});
  return lanes;
}

std::vector<double> Oracle::lanes_of(const Operand& operand, const HeadRow& before) const {
  std::vector<double> lanes;
  lanes.reserve(static_cast<std::size_t>(operand.head_dim));
  for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) {
    lanes.push_back(decode(spec_.dtype, load_bits(spec_.dtype, before.data, lane * before.lane_stride)));
  }
  return lanes;
}

std::vector<LaneValue> Oracle::entering(const Operand& operand, const HeadRow& before, std::span<const double> weights,
                                        std::optional<double> r) const {
  return entering(operand, lanes_of(operand, before), weights, r);
}

bool Oracle::rotates(const Operand& operand, std::int64_t lane) const {
  return operand.rotates != false && lane >= operand.first_lane && lane < operand.first_lane + spec_.rotary_dim;
}

LaneBound Oracle::stored(const Operand& operand, const LaneValue& lane) const {
  const DType out = operand.dtype_out.value_or(spec_.dtype);
  // What was rounded to the type already is stored as it is, and so is anything in fp32.
  const bool as_it_is = out == DType::fp32 || (spec_.round_after.weight && out == spec_.dtype);
  const double reach = std::fabs(lane.value) + lane.error;
  const double last = as_it_is || reach == 0 || !std::isfinite(reach) ? 0 : half_ulp(out, reach);
  return {lane.value, lane.error + last, lane.error, out};
}

void Oracle::expect(const Angles& angles, const Operand& operand, std::span<const double> in, std::span<double> out,
                    std::span<double> bound, std::span<const double> weights, std::optional<double> r) const {
  const UsualRounding arithmetic;
  const RoundingRule rounding = rule(operand);
  const std::vector<LaneValue> entered = entering(operand, in, weights, r);
  for (std::size_t lane = 0; lane < in.size(); ++lane) {
    const LaneBound still = operand.norm ? stored(operand, entered[lane]) : LaneBound{in[lane], 0, 0, rounding.out};
    out[lane] = still.value;
    bound[lane] = still.bound;
  }
  if (operand.rotates == false) return;
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const Pair pair = lanes(spec_.layout, operand, i);
    const Pair written = lanes(spec_.layout_out.value_or(spec_.layout), operand, i);
    const LaneValue& xa = entered[static_cast<std::size_t>(pair.a)];
    const LaneValue& xb = entered[static_cast<std::size_t>(pair.b)];
    const double c = angles.cos[static_cast<std::size_t>(i)];
    const double s = angles.sin[static_cast<std::size_t>(i)];
    const LaneBound a = lane_bound(rounding, first_lane(xa, xb, c, s), angles.scale);
    const LaneBound b = lane_bound(rounding, second_lane(xa, xb, c, s), angles.scale);
    out[static_cast<std::size_t>(written.a)] = a.value;
    out[static_cast<std::size_t>(written.b)] = b.value;
    bound[static_cast<std::size_t>(written.a)] = a.bound;
    bound[static_cast<std::size_t>(written.b)] = b.bound;
  }
}

void Oracle::check_statistic(const Operand& operand, const HeadRow& before, float r, const ElementIndex& index,
                             Comparison& result) const {
  const UsualRounding arithmetic;
  const LaneValue wanted = reciprocal_root(lanes_of(operand, before), operand.norm->eps);
  result.rotated(DType::fp32, index, wanted.value, wanted.error, 0, static_cast<double>(r));
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

void Oracle::check_unturned(const Operand& operand, std::int64_t lane, const std::vector<LaneValue>& entered,
                            const HeadRow& before, const HeadRow& after, const ElementIndex& index,
                            Comparison& result) const {
  if (operand.norm) {
    check_bound(operand, lane, stored(operand, entered[static_cast<std::size_t>(lane)]), after, index, result);
  } else {
    check_copied(operand, {lane, lane}, before, after, index, result);
  }
}

void Oracle::check_bound(const Operand& operand, std::int64_t lane, const LaneBound& bound, const HeadRow& after,
                         const ElementIndex& index, Comparison& result) const {
  const DType out = operand.dtype_out.value_or(spec_.dtype);
  ElementIndex here = index;
  here.lane = lane;
  const double is = decode(out, load_bits(out, after.data, lane * after.lane_stride));
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

void Oracle::check_copy(const Operand& operand, const HeadRow& before, const HeadRow& after, const ElementIndex& index,
                        Comparison& result, std::span<const double> weights, std::optional<double> r) const {
  const UsualRounding arithmetic;
  const std::vector<LaneValue> entered = entering(operand, before, weights, r);
  for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) {
    check_unturned(operand, lane, entered, before, after, index, result);
  }
}

void Oracle::check(const Angles& angles, const Operand& operand, const HeadRow& before, const HeadRow& after,
                   const ElementIndex& index, Comparison& result, std::span<const double> weights,
                   std::optional<double> r) const {
  if (operand.rotates == false) return check_copy(operand, before, after, index, result, weights, r);
  const UsualRounding arithmetic;
  const RoundingRule rounding = rule(operand);
  const std::vector<LaneValue> entered = entering(operand, before, weights, r);
  for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) {
    if (!rotates(operand, lane)) check_unturned(operand, lane, entered, before, after, index, result);
  }
  // What a norm leaves is known within an error alone.
  const bool bits_known = angles.known && spec_.rounding != Rounding::exact && !operand.norm;
  const auto check_lane = [&](std::int64_t lane, const LaneTerms& terms) {
    if (bits_known) {
      const ElementBits wanted = lane_bits(rounding, terms);
      if (!std::isnan(decode(rounding.out, wanted))) {
        ElementIndex here = index;
        here.lane = lane;
        result.copied(rounding.out, here, wanted, load_bits(rounding.out, after.data, lane * after.lane_stride));
        return;
      }
    }
    check_bound(operand, lane, lane_bound(rounding, terms, angles.scale), after, index, result);
  };
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const Pair pair = lanes(spec_.layout, operand, i);
    const Pair written = lanes(spec_.layout_out.value_or(spec_.layout), operand, i);
    const LaneValue& xa = entered[static_cast<std::size_t>(pair.a)];
    const LaneValue& xb = entered[static_cast<std::size_t>(pair.b)];
    const double c = angles.cos[static_cast<std::size_t>(i)];
    const double s = angles.sin[static_cast<std::size_t>(i)];
    check_lane(written.a, first_lane(xa, xb, c, s));
    check_lane(written.b, second_lane(xa, xb, c, s));
  }
}

void Oracle::check_padding(Padding padding, const Operand& operand, const HeadRow& before, const HeadRow& after,
                           const ElementIndex& index, Comparison& result, std::span<const double> weights,
                           std::optional<double> r) const {
  if (operand.rotates == false) return check_copy(operand, before, after, index, result, weights, r);
  const UsualRounding arithmetic;
  if (padding == Padding::zero && operand.norm) {
    for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) check_zero(operand, lane, after, index, result);
    return;
  }
  for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) {
    if (!rotates(operand, lane)) check_copied(operand, {lane, lane}, before, after, index, result);
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
