#include "spec/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

struct Factor {
  double operator()(const NoScaling&) const { return 1.0; }
  double operator()(const LinearScaling& rule) const { return rule.factor; }
  double operator()(const Llama3Scaling& rule) const { return rule.factor; }
};

}  // namespace

double log2_largest_frequency(const RopeSpec& spec) {
  const double rotary_dim = static_cast<double>(spec.rotary_dim);
  const double unscaled = std::max(0.0, -std::log2(spec.theta) * (rotary_dim - 2) / rotary_dim);
  return unscaled + std::max(0.0, -std::log2(std::visit(Factor{}, spec.scaling)));
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
