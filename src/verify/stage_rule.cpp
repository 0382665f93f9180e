#include "verify/stage_rule.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>

namespace ropejit::internal {
namespace {

// What spec.hpp promises of tau, of its two terms.
constexpr double kTauError = 2e-6;

double as_fp32(double value) { return static_cast<double>(static_cast<float>(value)); }

std::int64_t rounded_down_quotient(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return a % b != 0 && a < 0 ? quotient - 1 : quotient;
}

// g, to about 2^-63.
long double growth(const Temperature& temperature, std::int64_t position) {
  const bool is_last = position == std::numeric_limits<std::int64_t>::max();
  const std::int64_t place = is_last ? position : position + temperature.offset;
  if (temperature.steps) {
    return 1.0L + static_cast<long double>(rounded_down_quotient(place, temperature.length));
  }
  return static_cast<long double>(place) / static_cast<long double>(temperature.length);
}

// Lanes times a factor; `point`: whether they are rounded to the spec's dtype then.
void multiply(std::vector<LaneValue>& lanes, const LaneValue& factor, DType dtype, bool point) {
  for (LaneValue& lane : lanes) {
    lane = in_fp32(product(lane, factor));
    if (point && dtype != DType::fp32) lane = narrowed(dtype, lane);
  }
}

}  // namespace

std::vector<StageName> stages_in_order(const Operand& operand, bool turns) {
  std::vector<StageName> stages;
  for (const StageName stage : operand.order) {
    if (turns || stage != StageName::rotate) stages.push_back(stage);
  }
  if (!operand.order.empty()) return stages;
  if (operand.bias) stages.push_back(StageName::bias);
  if (operand.norm) stages.push_back(StageName::norm);
  if (operand.clamp) stages.push_back(StageName::clamp);
  if (operand.scale) stages.push_back(StageName::scale);
  if (operand.head_scales) stages.push_back(StageName::head_scale);
  if (turns) stages.push_back(StageName::rotate);
  if (operand.temperature) stages.push_back(StageName::temperature);
  return stages;
}

bool has_stage_beside_rotation(const Operand& operand) {
  return operand.bias || operand.norm || operand.clamp || operand.scale || operand.head_scales || operand.temperature;
}

LaneValue temperature_factor(const Temperature& temperature, std::int64_t position) {
  const long double grown = growth(temperature, position);
  if (grown <= 1) return {1, 0};
  const double gain = as_fp32(temperature.coefficient) * static_cast<double>(logl(grown));
  const double error = kTauError * (1 + std::fabs(gain));
  return {1 + gain, error};
}

std::vector<LaneValue> staged_lanes(StageName stage, const Operand& operand, DType dtype, const RoundAfter& round_after,
                                    std::vector<LaneValue> lanes, const RowData& data) {
  switch (stage) {
    case StageName::bias: {
      const std::span<const double> biases =
          part_of(data.biases, data.head, operand.head_dim, "an operand with biases needs one for each lane");
      for (std::size_t i = 0; i < lanes.size(); ++i) {
        lanes[i] = in_fp32(sum(lanes[i], {biases[i], 0}));
        if (round_after.bias && dtype != DType::fp32) lanes[i] = narrowed(dtype, lanes[i]);
      }
      return lanes;
    }
    case StageName::clamp:
      for (LaneValue& lane : lanes) lane = held(lane, as_fp32(*operand.clamp));
      return lanes;
    case StageName::scale: multiply(lanes, {as_fp32(*operand.scale), 0}, dtype, round_after.scale); return lanes;
    case StageName::head_scale: {
      const double scale =
          part_of(data.head_scales, data.head, 1, "an operand with scales of heads needs one for each").front();
      multiply(lanes, {scale, 0}, dtype, round_after.scale);
      return lanes;
    }
    case StageName::temperature: {
      LaneValue tau = temperature_factor(*operand.temperature, data.position);
      if (round_after.tau && dtype != DType::fp32) tau = narrowed(dtype, tau);
      multiply(lanes, tau, dtype, false);
      return lanes;
    }
    case StageName::norm:
    case StageName::rotate: break;
  }
  throw std::invalid_argument("norms and rotations take lanes together");
}

}  // namespace ropejit::internal
