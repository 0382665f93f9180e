#include "verify/comparison.hpp"

#include <cmath>
#include <limits>
#include <sstream>

namespace ropejit::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double error_of(DType dtype, double expected, double slack, double got) {
  if (std::isnan(expected)) return std::isnan(got) ? 0.0 : kInfinity;
  if (std::isinf(got)) {
    const bool same_sign = std::signbit(got) == std::signbit(expected);
    return same_sign && std::fabs(expected) + slack >= overflow_threshold(dtype) ? 0.0 : kInfinity;
  }
  const double error = std::fabs(got - expected);
  return std::isnan(error) ? kInfinity : error;
}

}  // namespace

void Comparison::rotated(DType dtype, const ElementIndex& index, double expected, double bound, double slack,
                         double got) {
  ++count_;
  double error = std::fabs(got - expected);
  // False for NaN too: the rare values take the slow road.
  if (!(error <= bound) || std::isinf(bound)) error = error_of(dtype, expected, slack, got);
  if (error > worst_error_ || bound_at_worst_ == 0) {
    worst_error_ = error;
    bound_at_worst_ = bound;
  }
  // An infinite error never passes, even where the bound is infinite because an input was.
  if (error == 0 || (error <= bound && std::isfinite(error))) {
    const double ratio = error == 0 ? 0 : error / bound;
    if (ratio > worst_ratio_) worst_ratio_ = ratio;
    return;
  }
  worst_ratio_ = bound > 0 && std::isfinite(error) ? std::fmax(worst_ratio_, error / bound) : kInfinity;
  fail({index, expected, got, bound});
}

void Comparison::copied(DType dtype, const ElementIndex& index, ElementBits expected, ElementBits got) {
  ++count_;
  if (expected == got) return;
  const double was = decode(dtype, expected);
  const double is = decode(dtype, got);
  const double error = std::fabs(is - was);
  // Bits that differ in value by nothing (a zero's sign, a NaN's payload) fail all the same.
  worst_error_ = std::isnan(error) ? kInfinity : std::fmax(worst_error_, error);
  if (worst_error_ == error) bound_at_worst_ = 0;
  worst_ratio_ = kInfinity;
  fail({index, was, is, 0});
}

void Comparison::fail(const Mismatch& mismatch) {
  ++failures_;
  if (!first_failure_ || mismatch.index < first_failure_->index) first_failure_ = mismatch;
}

void Comparison::merge(const Comparison& other) {
  if (other.count_ > 0 && (count_ == 0 || other.worst_error_ > worst_error_)) {
    worst_error_ = other.worst_error_;
    bound_at_worst_ = other.bound_at_worst_;
  }
  count_ += other.count_;
  failures_ += other.failures_;
  worst_ratio_ = std::fmax(worst_ratio_, other.worst_ratio_);
  if (other.first_failure_ && (!first_failure_ || other.first_failure_->index < first_failure_->index)) {
    first_failure_ = other.first_failure_;
  }
}

std::string Comparison::to_string() const {
  std::ostringstream text;
  text << count_ << " elements, " << failures_ << " wrong, worst error " << worst_error_ << " (bound "
       << bound_at_worst_ << "), worst error/bound " << worst_ratio_;
  if (first_failure_) {
    const Mismatch& first = *first_failure_;
    text.precision(17);
    text << "; first at (batch " << first.index.batch << ", token " << first.index.token << ", head "
         << first.index.head << ", lane " << first.index.lane << "): expected " << first.expected << ", got "
         << first.got << ", bound " << first.bound;
  }
  return text.str();
}

}  // namespace ropejit::internal
