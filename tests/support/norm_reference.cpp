#include "support/norm_reference.hpp"

#include <bit>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "verify/element.hpp"

namespace ropejit::test {
namespace {

// One rounding to fp32 each, whatever the compiler fuses: a double holds a product of two floats, and rounds sums,
// and quotients of floats so finely that rounding again does no harm.
float sum(float a, float b) { return static_cast<float>(double{a} + double{b}); }
float product(float a, float b) { return static_cast<float>(double{a} * double{b}); }
float quotient(float a, float b) { return static_cast<float>(double{a} / double{b}); }

// 1 / sqrt(mean) by the steps that docs/prologue.md has.
float reciprocal_root(float mean) {
  if (std::isinf(mean)) return 0;
  const auto guess = std::bit_cast<float>(0x5f1ffff9U - (std::bit_cast<std::uint32_t>(mean) >> 1));
  const float scaled = product(0.703952253F, guess);
  const float rough = product(scaled, std::fma(-product(mean, guess), guess, 2.38924456F));
  const float left = std::fma(-product(mean, rough), rough, 1.0F);
  return std::fma(product(rough, left), std::fma(left, 0.375F, 0.5F), rough);
}

float rounded(DType dtype, float value) {
  return static_cast<float>(internal::decode(dtype, internal::encode(dtype, double{value})));
}

}  // namespace

float reference_reciprocal(const std::vector<double>& lanes, double eps) {
  const std::size_t pairs = lanes.size() / 2;
  const std::size_t half = (pairs + 1) / 2;
  std::vector<float> sums;
  for (std::size_t i = 0; i < half; ++i) {
    const auto lane = [&](std::size_t pair, std::size_t which) { return static_cast<float>(lanes[2 * pair + which]); };
    float squares = product(lane(i, 0), lane(i, 0));
    squares = std::fma(lane(i, 1), lane(i, 1), squares);
    if (i + half < pairs) {
      squares = std::fma(lane(i + half, 0), lane(i + half, 0), squares);
      squares = std::fma(lane(i + half, 1), lane(i + half, 1), squares);
    }
    sums.push_back(squares);
  }
  for (std::size_t step = 1; step < half; step *= 2) {
    for (std::size_t i = 0; i + step < half; i += 2 * step) sums[i] = sum(sums[i], sums[i + step]);
  }
  const float mean = product(sums[0], quotient(1.0F, static_cast<float>(lanes.size())));
  return reciprocal_root(sum(mean, static_cast<float>(eps)));
}

Bits reference_normed(const RopeSpec& spec, const Operand& operand, const Bits& in, const Bits& weight) {
  const bool narrow = spec.dtype != DType::fp32;
  if (narrow && !spec.round_after.weight) throw std::invalid_argument("what is not rounded is no element");
  const std::vector<double> weights = decoded(operand.norm->weight_dtype.value_or(spec.dtype), weight);
  Bits normed;
  for (std::size_t at = 0; at < in.size(); at += weights.size()) {
    const Bits head(in.begin() + static_cast<std::ptrdiff_t>(at),
                    in.begin() + static_cast<std::ptrdiff_t>(at + weights.size()));
    const std::vector<double> lanes = decoded(spec.dtype, head);
    const float r = reference_reciprocal(lanes, operand.norm->eps);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      float lane = product(static_cast<float>(lanes[i]), r);
      if (narrow && spec.round_after.norm) lane = rounded(spec.dtype, lane);
      normed.push_back(internal::encode(spec.dtype, double{product(lane, static_cast<float>(weights[i]))}));
    }
  }
  return normed;
}

}  // namespace ropejit::test
