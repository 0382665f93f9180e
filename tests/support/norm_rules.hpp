// Norms of heads of known lanes, and what a kernel does in their sums, for tests of the oracle's rules.
#pragma once

#include <vector>

#include "verify/norm_rule.hpp"

namespace ropejit::test {

using Numbers = std::vector<double>;

inline internal::NormRule rule_of(double eps = 1e-6, DType dtype = DType::bf16, const RoundAfter& round_after = {}) {
  internal::NormRule rule;
  rule.norm.eps = eps;
  rule.dtype = dtype;
  rule.round_after = round_after;
  return rule;
}

inline std::vector<internal::LaneValue> known(const Numbers& numbers) {
  std::vector<internal::LaneValue> lanes;
  for (const double number : numbers) lanes.push_back({number, 0});
  return lanes;
}

inline internal::StatisticValue statistic_of(const internal::NormRule& rule, const Numbers& lanes) {
  const std::vector<internal::LaneValue> head = known(lanes);
  return internal::statistic_of(rule, {&head, 1});
}

/// A head that computes its statistic.
inline std::vector<internal::LaneValue> normed(const internal::NormRule& rule, const Numbers& lanes,
                                               const Numbers& weights = {}, const Numbers& biases = {}) {
  return internal::normed_lanes(rule, test::statistic_of(rule, lanes), known(lanes), weights, biases);
}

/// The tree of an adder that halves the list until one number is left.
inline float tree_sum(std::vector<float> numbers) {
  while (numbers.size() > 1) {
    const std::size_t half = (numbers.size() + 1) / 2;
    for (std::size_t i = 0; i + half < numbers.size(); ++i) numbers[i] += numbers[i + half];
    numbers.resize(half);
  }
  return numbers[0];
}

inline float rounded(DType dtype, float value) {
  return static_cast<float>(internal::decode(dtype, internal::encode(dtype, value)));
}

}  // namespace ropejit::test
