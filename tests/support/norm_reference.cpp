#include "support/norm_reference.hpp"

#include <cmath>
#include <stdexcept>
#include <vector>

#include "verify/element.hpp"

namespace ropejit::test {
namespace {

// One rounding to fp32 each, whatever the compiler fuses: a double holds a product of two floats, and rounds sums,
// quotients and roots of floats so finely that rounding again does no harm.
float sum(float a, float b) { return static_cast<float>(double{a} + double{b}); }
float product(float a, float b) { return static_cast<float>(double{a} * double{b}); }
float quotient(float a, float b) { return static_cast<float>(double{a} / double{b}); }
float root(float a) { return static_cast<float>(std::sqrt(double{a})); }

float rounded(DType dtype, float value) {
  return static_cast<float>(internal::decode(dtype, internal::encode(dtype, double{value})));
}

}  // namespace

float reference_reciprocal(const std::vector<double>& lanes, double eps) {
  std::vector<float> pairs;
  for (std::size_t i = 0; i < lanes.size(); i += 2) {
    const auto a = static_cast<float>(lanes[i]);
    const auto b = static_cast<float>(lanes[i + 1]);
    pairs.push_back(sum(product(a, a), product(b, b)));
  }
  const std::size_t half = (pairs.size() + 1) / 2;
  for (std::size_t i = 0; i + half < pairs.size(); ++i) pairs[i] = sum(pairs[i], pairs[i + half]);
  for (std::size_t step = 1; step < half; step *= 2) {
    for (std::size_t i = 0; i + step < half; i += 2 * step) pairs[i] = sum(pairs[i], pairs[i + step]);
  }
  const float mean = product(pairs[0], quotient(1.0F, static_cast<float>(lanes.size())));
  return quotient(1.0F, root(sum(mean, static_cast<float>(eps))));
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
