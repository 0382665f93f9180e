#include "ropejit/spec.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ropejit/error.hpp"
#include "spec/attention_scale.hpp"
#include "spec/axes.hpp"
#include "spec/limits.hpp"
#include "spec/names.hpp"
#include "spec/operand_text.hpp"
#include "spec/operand_validation.hpp"
#include "spec/round_points.hpp"
#include "spec/scaling_rules.hpp"
#include "support/field_error.hpp"
#include "support/usual_arithmetic.hpp"

namespace ropejit {
namespace internal {
namespace {

void validate_frequencies(const RopeSpec& spec) {
  const double log2_largest = log2_largest_frequency(spec);
  if (log2_largest > kMaxLog2Frequency) {
    throw field_error(ErrorCode::invalid_argument, "rope_theta",
                      fmt::format("{} with scaling {}, a frequency of 2^{:.0f} radians per position", spec.theta,
                                  scaling_to_string(spec.scaling), log2_largest),
                      fmt::format("frequencies up to 2^{:.0f}", kMaxLog2Frequency));
  }
  if (spec.angle != AngleRounding::exact && log2_largest > kMaxLog2FrequencyFp32) {
    throw field_error(
        ErrorCode::invalid_argument, "angle",
        fmt::format("{} with a frequency of 2^{:.0f} radians per position", to_string(spec.angle), log2_largest),
        fmt::format("exact, or frequencies up to 2^{:.0f}", kMaxLog2FrequencyFp32));
  }
}

// " axes [16, 24, 24] interleaved restarted": what is not the default, and nothing for one axis.
std::string axes_to_string(const Axes& axes) {
  if (axes == Axes{}) return {};
  std::string text = fmt::format(" axes [{}]", fmt::join(axes.sections, ", "));
  if (axes.order != AxisOrder::chunked) text += fmt::format(" {}", to_string(axes.order));
  if (axes.frequencies != AxisFrequencies::shared) text += fmt::format(" {}", to_string(axes.frequencies));
  return text;
}

}  // namespace

}  // namespace internal

inline namespace v0 {

void RopeSpec::validate() const {
  using namespace internal;
  const UsualArithmetic arithmetic;
  require_enum(layout, "layout");
  if (layout_out) require_enum(*layout_out, "layout_out");
  require_enum(direction, "direction");
  require_enum(dtype, "dtype");
  if (!kTheta.contains(theta)) {
    throw field_error(ErrorCode::invalid_argument, "rope_theta", fmt::format("{}", theta), kTheta.describe());
  }
  validate_operands(*this);
  if (max_length && !kContextLength.contains(*max_length)) {
    throw field_error(ErrorCode::invalid_argument, "max_length", fmt::format("{}", *max_length),
                      kContextLength.describe());
  }
  validate_scaling(*this);
  validate_axes(*this);
  require_enum(rounding, "rounding");
  require_enum(angle, "angle");
  require_enum(sine, "sine");
  validate_frequencies(*this);
}

double RopeSpec::softmax_scale() const {
  const internal::UsualArithmetic arithmetic;
  validate();
  return internal::softmax_scale(scaling);
}

std::string RopeSpec::to_string() const {
  using namespace internal;
  const UsualArithmetic arithmetic;
  std::string text = v0::to_string(layout);
  if (layout_out) text += fmt::format(" to {}", v0::to_string(*layout_out));
  text += fmt::format(" {} q {}", v0::to_string(dtype), operand_to_string(q));
  if (k) text += fmt::format(" k {}", operand_to_string(*k));
  if (v) text += fmt::format(" v {}", operand_to_string(*v));
  if (gate) text += fmt::format(" gate {}", operand_to_string(*gate));
  text += fmt::format(" rotary {} theta {}", rotary_dim, theta);
  if (!std::holds_alternative<NoScaling>(scaling)) text += fmt::format(" {}", scaling_to_string(scaling));
  if (max_length) text += fmt::format(" max_length {}", *max_length);
  text += axes_to_string(axes);
  if (rounding != Rounding::exact) text += fmt::format(" rounding {}", v0::to_string(rounding));
  if (angle != AngleRounding::exact) text += fmt::format(" angle {}", v0::to_string(angle));
  if (sine != Sine::polynomial) text += fmt::format(" sine {}", v0::to_string(sine));
  if (const std::vector<const char*> places = names_of(round_after); !places.empty()) {
    text += fmt::format(" rounded after {}", fmt::join(places, " and "));
  }
  return fmt::format("{} {}", text, v0::to_string(direction));
}

bool operator==(const Norm& a, const Norm& b) noexcept {
  return a.eps == b.eps && a.weight_dtype == b.weight_dtype && a.statistic == b.statistic && a.kind == b.kind &&
         a.span == b.span && a.weight == b.weight && a.plus_one == b.plus_one && a.bias == b.bias &&
         a.first_lane == b.first_lane && a.lanes == b.lanes && a.global_heads == b.global_heads;
}

bool operator==(const Temperature& a, const Temperature& b) noexcept {
  return a.coefficient == b.coefficient && a.length == b.length && a.steps == b.steps && a.offset == b.offset;
}

bool operator==(const RoundAfter& a, const RoundAfter& b) noexcept {
  for (const internal::RoundPoint& point : internal::kRoundPoints) {
    if (a.*point.member != b.*point.member) return false;
  }
  return true;
}

bool operator==(const Operand& a, const Operand& b) noexcept {
  return a.heads == b.heads && a.head_dim == b.head_dim && a.first_lane == b.first_lane && a.dtype_out == b.dtype_out &&
         a.rotates == b.rotates && a.norm == b.norm && a.bias == b.bias && a.clamp == b.clamp && a.scale == b.scale &&
         a.head_scales == b.head_scales && a.temperature == b.temperature && a.order == b.order;
}

bool operator==(const RopeSpec& a, const RopeSpec& b) noexcept {
  const internal::UsualArithmetic arithmetic;
  return a.layout == b.layout && a.layout_out == b.layout_out && a.direction == b.direction && a.dtype == b.dtype &&
         a.theta == b.theta && a.rotary_dim == b.rotary_dim && a.q == b.q && a.k == b.k && a.v == b.v &&
         a.gate == b.gate && a.scaling == b.scaling && a.axes == b.axes && a.max_length == b.max_length &&
         a.rounding == b.rounding && a.angle == b.angle && a.sine == b.sine && a.round_after == b.round_after;
}

std::int64_t size_of(DType dtype) noexcept { return dtype == DType::fp32 ? 4 : 2; }

}  // namespace v0
}  // namespace ropejit
