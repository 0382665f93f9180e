// What a number of the spec may be, said once: the check and the words that a message puts after "allowed:".
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace ropejit::internal {

/// Whole numbers from min to max, both included; with `even`, even ones alone.
struct IntRange {
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  bool even = false;

  bool contains(std::int64_t value) const { return value >= min && value <= max && !(even && value % 2 != 0); }
  /// "an integer from 1 to 65,536", "an even number from 2 to 4,096".
  std::string describe() const;
};

/// Finite numbers above 0; with `max`, at most that; with `or_zero`, 0 too.
struct PositiveRange {
  double max = std::numeric_limits<double>::infinity();
  bool or_zero = false;
  double min = 0;

  bool contains(double value) const {
    return std::isfinite(value) && (value > 0 || (or_zero && value == 0)) && value >= min && value <= max;
  }
  /// "a finite number above 0", "a number above 0 and at most 1", "a number from 0 to 1".
  std::string describe() const;
};

/// Numbers that are finite as fp32; with `above_zero`, above 0 there.
struct Fp32Range {
  bool above_zero = false;

  bool contains(double value) const {
    constexpr double kMost = std::numeric_limits<float>::max();
    return value >= -kMost && value <= kMost && !(above_zero && !(static_cast<float>(value) > 0));
  }
  /// "a number that is finite as fp32", "a number that is finite and above 0 as fp32".
  std::string describe() const;
};

}  // namespace ropejit::internal
