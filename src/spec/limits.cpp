#include "spec/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

double least(const std::vector<double>& values) {
  return values.empty() ? 1.0 : *std::min_element(values.begin(), values.end());
}

// The number that frequencies are divided by at most where it is below 1. Stretching the base by alpha^(d / (d - 2))
// divides the last frequency by alpha, and those before it by less.
struct Divisor {
  double operator()(const NoScaling&) const { return 1.0; }
  double operator()(const LinearScaling& rule) const { return rule.factor; }
  double operator()(const Llama3Scaling& rule) const { return rule.factor; }
  double operator()(const DynamicScaling&) const { return 1.0; }
  double operator()(const NtkScaling& rule) const { return rule.alpha; }
  double operator()(const YarnScaling& rule) const { return rule.factor; }
  double operator()(const LongRopeScaling& rule) const {
    return std::min(least(rule.short_factor), least(rule.long_factor));
  }
  double operator()(const ProportionalScaling& rule) const { return rule.factor; }
  double operator()(const DeepseekYarnScaling& rule) const { return rule.factor; }
  double operator()(const InvFreqScaling&) const { return 1.0; }
};

// The largest i of the f_i that are used. Axes that take turns in the list go beyond its end where one has more pairs
// than others; axes that begin again stay within it.
std::int64_t last_frequency(const RopeSpec& spec) {
  const std::vector<std::int64_t>& sections = spec.axes.sections;
  std::int64_t last = spec.rotary_dim / 2 - 1;
  if (spec.axes.frequencies != AxisFrequencies::strided) return last;
  const auto n = static_cast<std::int64_t>(sections.size());
  for (std::int64_t a = 0; a < n; ++a) last = std::max(last, n * (sections[static_cast<std::size_t>(a)] - 1) + a);
  return last;
}

}  // namespace

double log2_largest_frequency(const RopeSpec& spec) {
  if (const auto* rule = std::get_if<InvFreqScaling>(&spec.scaling)) {
    double largest = 1.0;
    for (const double w : rule->inv_freq) largest = std::max(largest, w);
    return std::log2(largest);
  }
  const double rotary_dim = static_cast<double>(spec.rotary_dim);
  const double unscaled =
      std::max(0.0, -std::log2(spec.theta) * static_cast<double>(2 * last_frequency(spec)) / rotary_dim);
  return unscaled + std::max(0.0, -std::log2(std::visit(Divisor{}, spec.scaling)));
}

std::int64_t rotary_dim_of_fraction(std::int64_t head_dim, double fraction, const char* field) {
  const auto rotary_dim = static_cast<std::int64_t>(static_cast<double>(head_dim) * fraction);
  const IntRange range{2, head_dim, true};
  if (!range.contains(rotary_dim)) {
    throw field_error(ErrorCode::invalid_argument, field,
                      fmt::format("{} of head_dim {}, which gives rotary_dim {}", fraction, head_dim, rotary_dim),
                      range.describe());
  }
  return rotary_dim;
}

}  // namespace ropejit::internal
