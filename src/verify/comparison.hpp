// Comparison: gathers what a check of many elements found. A value type: one a thread, merged at the end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "verify/element.hpp"

namespace ropejit::internal {

/// Where an element stands in q, k or v.
struct ElementIndex {
  std::int64_t batch = 0;
  std::int64_t token = 0;
  std::int64_t head = 0;
  std::int64_t lane = 0;

  friend bool operator==(const ElementIndex&, const ElementIndex&) = default;
  friend auto operator<=>(const ElementIndex&, const ElementIndex&) = default;
};

/// The failing element that comes first by (batch, token, head, lane).
struct Mismatch {
  ElementIndex index;
  double expected = 0;
  double got = 0;
  double bound = 0;  ///< 0 for a lane that does not rotate: its bits must be equal
};

class Comparison {
 public:
  /// An element that rotates: passes when |got - expected| <= bound. An expected NaN wants a NaN; an expected value
  /// within `slack` (the arithmetic's part of `bound`) of where `dtype` rounds to infinity may be that infinity.
  void rotated(DType dtype, const ElementIndex& index, double expected, double bound, double slack, double got);

  /// An element that does not rotate: its bits must be those of the input.
  void copied(DType dtype, const ElementIndex& index, ElementBits expected, ElementBits got);

  void merge(const Comparison& other);

  bool passed() const noexcept { return failures_ == 0; }
  std::int64_t count() const noexcept { return count_; }
  std::int64_t failures() const noexcept { return failures_; }
  /// The largest |got - expected|, and the bound of that element. Failures count; NaN reads as infinity.
  double worst_error() const noexcept { return worst_error_; }
  double bound_at_worst() const noexcept { return bound_at_worst_; }
  /// The largest error over bound: above 1 when something failed.
  double worst_ratio() const noexcept { return worst_ratio_; }
  const std::optional<Mismatch>& first_failure() const noexcept { return first_failure_; }

  /// One line for people and for Catch2's INFO.
  std::string to_string() const;

 private:
  void fail(const Mismatch& mismatch);

  std::int64_t count_ = 0;
  std::int64_t failures_ = 0;
  double worst_error_ = 0;
  double bound_at_worst_ = 0;
  double worst_ratio_ = 0;
  std::optional<Mismatch> first_failure_;
};

}  // namespace ropejit::internal
