#include "verify/oracle.hpp"

#include <cmath>
#include <limits>

#include "verify/rope_formulas.hpp"

namespace ropejit::internal {
namespace {

// The arithmetic's part of the bound.
double slack_of(double scale, double xa, double xb) { return 0x1p-20 * scale * (std::fabs(xa) + std::fabs(xb)); }

double bound_of(DType dtype, double expected, double slack) {
  const double reach = std::fabs(expected) + slack;
  return std::isfinite(reach) ? half_ulp(dtype, reach) + slack : std::numeric_limits<double>::infinity();
}

}  // namespace

Oracle::Oracle(const RopeSpec& spec)
    : spec_(spec), frequencies_(oracle_frequencies(spec)), attention_scale_(oracle_attention_scale(spec)) {
  if (spec.direction == Direction::inverse) attention_scale_ = 1.0 / attention_scale_;
  if (spec.direction == Direction::shift) attention_scale_ = 1.0;
}

long double Oracle::angle(std::int64_t pair, std::int64_t position) const {
  const WideNumber product = wide_integer(position) * frequencies_[static_cast<std::size_t>(pair)];
  const WideNumber turns{rintl(product.hi / wide_two_pi().hi), 0};
  const WideNumber rest = product - turns * wide_two_pi();
  return rest.hi + rest.lo;
}

Angles Oracle::angles(std::int64_t position) const {
  Angles result;
  result.cos.reserve(frequencies_.size());
  result.sin.reserve(frequencies_.size());
  const double sine_scale = spec_.direction == Direction::adjoint || spec_.direction == Direction::inverse
                                ? -attention_scale_
                                : attention_scale_;
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const long double t = angle(i, position);
    result.cos.push_back(attention_scale_ * static_cast<double>(cosl(t)));
    result.sin.push_back(sine_scale * static_cast<double>(sinl(t)));
  }
  return result;
}

const Angles& Oracle::at(std::int64_t position) {
  const auto found = remembered_.find(position);
  if (found != remembered_.end()) return found->second;
  if (remembered_.size() * frequencies_.size() > (std::size_t{1} << 21)) remembered_.clear();
  return remembered_.emplace(position, angles(position)).first->second;
}

Oracle::Pair Oracle::lanes(Layout layout, const Operand& operand, std::int64_t pair) const {
  if (layout == Layout::interleaved) {
    return {operand.first_lane + 2 * pair, operand.first_lane + 2 * pair + 1};
  }
  return {operand.first_lane + pair, operand.first_lane + pair + pairs()};
}

void Oracle::expect(const Angles& angles, const Operand& operand, std::span<const double> in, std::span<double> out,
                    std::span<double> bound) const {
  for (std::size_t lane = 0; lane < in.size(); ++lane) {
    out[lane] = in[lane];
    bound[lane] = 0;
  }
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const Pair pair = lanes(spec_.layout, operand, i);
    const Pair written = lanes(spec_.layout_out.value_or(spec_.layout), operand, i);
    const auto a = static_cast<std::size_t>(pair.a);
    const auto b = static_cast<std::size_t>(pair.b);
    const auto to_a = static_cast<std::size_t>(written.a);
    const auto to_b = static_cast<std::size_t>(written.b);
    const double c = angles.cos[static_cast<std::size_t>(i)];
    const double s = angles.sin[static_cast<std::size_t>(i)];
    const double slack = slack_of(attention_scale_, in[a], in[b]);
    out[to_a] = in[a] * c - in[b] * s;
    out[to_b] = in[b] * c + in[a] * s;
    bound[to_a] = bound_of(spec_.dtype, out[to_a], slack);
    bound[to_b] = bound_of(spec_.dtype, out[to_b], slack);
  }
}

void Oracle::check(const Angles& angles, const Operand& operand, const HeadRow& before, const HeadRow& after,
                   const ElementIndex& index, Comparison& result) const {
  const DType dtype = spec_.dtype;
  const auto bits_of = [dtype](const HeadRow& row, std::int64_t lane) {
    return load_bits(dtype, row.data, lane * row.lane_stride);
  };
  ElementIndex here = index;
  for (std::int64_t lane = 0; lane < operand.head_dim; ++lane) {
    if (lane == operand.first_lane) lane += spec_.rotary_dim;
    if (lane >= operand.head_dim) break;
    here.lane = lane;
    result.copied(dtype, here, bits_of(before, lane), bits_of(after, lane));
  }
  for (std::int64_t i = 0; i < pairs(); ++i) {
    const Pair pair = lanes(spec_.layout, operand, i);
    const Pair written = lanes(spec_.layout_out.value_or(spec_.layout), operand, i);
    const double xa = decode(dtype, bits_of(before, pair.a));
    const double xb = decode(dtype, bits_of(before, pair.b));
    const double c = angles.cos[static_cast<std::size_t>(i)];
    const double s = angles.sin[static_cast<std::size_t>(i)];
    const double slack = slack_of(attention_scale_, xa, xb);
    const double ya = xa * c - xb * s;
    const double yb = xb * c + xa * s;
    here.lane = written.a;
    result.rotated(dtype, here, ya, bound_of(dtype, ya, slack), slack, decode(dtype, bits_of(after, written.a)));
    here.lane = written.b;
    result.rotated(dtype, here, yb, bound_of(dtype, yb, slack), slack, decode(dtype, bits_of(after, written.b)));
  }
}

}  // namespace ropejit::internal
