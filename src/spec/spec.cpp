#include "ropejit/spec.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ropejit/error.hpp"
#include "spec/attention_scale.hpp"
#include "spec/axes.hpp"
#include "spec/limits.hpp"
#include "spec/names.hpp"
#include "spec/operand_fields.hpp"
#include "spec/operand_text.hpp"
#include "spec/round_points.hpp"
#include "spec/scaling_rules.hpp"
#include "support/field_error.hpp"
#include "support/usual_arithmetic.hpp"

namespace ropejit {
namespace internal {
namespace {

void require(std::int64_t value, const IntRange& range, const std::string& field) {
  if (range.contains(value)) return;
  throw field_error(ErrorCode::invalid_argument, field, fmt::format("{}", value), range.describe());
}

/// What a person is told of stages that the spec names: " norm 1e-06", " rotates=false".
struct StageText {
  std::string text;
  void number(const char*, const std::int64_t&, const IntRange&, bool) {}
  void dtype(const char*, const std::optional<DType>&) {}
  void norm(const char* key, const std::optional<Norm>& value) {
    if (!value) return;
    text += value->statistic == Statistic::given ? fmt::format(" {} of given r", key)
                                                 : fmt::format(" {} {}", key, value->eps);
    if (value->weight_dtype) text += fmt::format(" {} weights", v0::to_string(*value->weight_dtype));
  }
  void stage(const char* key, const std::optional<bool>& value, Stage) {
    if (value) text += fmt::format(" {}={}", key, *value);
  }
};

struct RequireOperand {
  const char* name;
  void number(const char* key, const std::int64_t& value, const IntRange& range, bool) {
    require(value, range, fmt::format("{}.{}", name, key));
  }
  void dtype(const char* key, const std::optional<DType>& value) {
    if (value) require_enum(*value, fmt::format("{}.{}", name, key).c_str());
  }
  void norm(const char* key, const std::optional<Norm>& value) {
    if (!value) return;
    if (!kEps.contains(value->eps)) {
      throw field_error(ErrorCode::invalid_argument, fmt::format("{}.{}.eps", name, key), fmt::format("{}", value->eps),
                        kEps.describe());
    }
    dtype(fmt::format("{}.weight_dtype", key).c_str(), value->weight_dtype);
    require_enum(value->statistic, fmt::format("{}.{}.statistic", name, key).c_str());
  }
  void stage(const char*, const std::optional<bool>&, Stage) {}
};

void validate_operand(const Operand& operand, const char* name, std::optional<bool> rotates) {
  RequireOperand require_fields{name};
  visit_fields(operand, require_fields);
  if (rotates && operand.rotates.value_or(*rotates) != *rotates) {
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}.rotates", name), fmt::format("{}", *operand.rotates),
                      fmt::format("{}", *rotates));
  }
}

// A norm is not undone by turning back: the gradient and the inverse of both together are other kernels.
void validate_norm(const Operand& operand, Direction direction, const char* name) {
  if (!operand.norm) return;
  if (direction != Direction::forward) {
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}.norm", name),
                      fmt::format("a norm with direction {}", to_string(direction)), "none, or direction forward");
  }
  if (kNormedHeadDim.contains(operand.head_dim)) return;
  throw field_error(ErrorCode::invalid_argument, fmt::format("{}.norm", name),
                    fmt::format("a norm over head_dim {}", operand.head_dim),
                    fmt::format("none, or a head_dim that is {}", kNormedHeadDim.describe()));
}

void validate_fit(const Operand& operand, std::int64_t rotary_dim, const char* name) {
  const std::int64_t room = operand.head_dim - operand.first_lane;
  if (rotary_dim <= room) return;
  if (room < kRotaryDim.min) {
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}.first_lane", name),
                      fmt::format("{}", operand.first_lane),
                      fmt::format("an even number that leaves 2 lanes of {}.head_dim {}", name, operand.head_dim));
  }
  throw field_error(ErrorCode::invalid_argument, "rotary_dim", fmt::format("{}", rotary_dim),
                    fmt::format("{}: {}.head_dim {} less {}.first_lane {}", IntRange{2, room, true}.describe(), name,
                                operand.head_dim, name, operand.first_lane));
}

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

std::string operand_to_string(const Operand& operand) {
  std::string text = fmt::format("{}x{}", operand.heads, operand.head_dim);
  if (operand.first_lane != 0) text += fmt::format("+{}", operand.first_lane);
  if (operand.dtype_out) text += fmt::format(" to {}", to_string(*operand.dtype_out));
  StageText stages;
  visit_fields(operand, stages);
  return text + stages.text;
}

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
  validate_operand(q, "q", true);
  if (k) validate_operand(*k, "k", std::nullopt);
  if (v) {
    validate_operand(*v, "v", false);
    require(v->first_lane, {0, 0}, "v.first_lane");
  }
  validate_norm(q, direction, "q");
  if (k) validate_norm(*k, direction, "k");
  if (v) validate_norm(*v, direction, "v");
  require(rotary_dim, kRotaryDim, "rotary_dim");
  validate_fit(q, rotary_dim, "q");
  if (k && k->rotates == false) require(k->first_lane, {0, 0}, "k.first_lane");
  if (k && k->rotates != false) validate_fit(*k, rotary_dim, "k");
  if (max_length) require(*max_length, kContextLength, "max_length");
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
  return a.eps == b.eps && a.weight_dtype == b.weight_dtype && a.statistic == b.statistic;
}

bool operator==(const RoundAfter& a, const RoundAfter& b) noexcept { return a.norm == b.norm && a.weight == b.weight; }

bool operator==(const Operand& a, const Operand& b) noexcept {
  return a.heads == b.heads && a.head_dim == b.head_dim && a.first_lane == b.first_lane && a.dtype_out == b.dtype_out &&
         a.norm == b.norm && a.rotates == b.rotates;
}

bool operator==(const RopeSpec& a, const RopeSpec& b) noexcept {
  const internal::UsualArithmetic arithmetic;
  return a.layout == b.layout && a.layout_out == b.layout_out && a.direction == b.direction && a.dtype == b.dtype &&
         a.theta == b.theta && a.rotary_dim == b.rotary_dim && a.q == b.q && a.k == b.k && a.v == b.v &&
         a.scaling == b.scaling && a.axes == b.axes && a.max_length == b.max_length && a.rounding == b.rounding &&
         a.angle == b.angle && a.sine == b.sine && a.round_after == b.round_after;
}

std::int64_t size_of(DType dtype) noexcept { return dtype == DType::fp32 ? 4 : 2; }

}  // namespace v0
}  // namespace ropejit
