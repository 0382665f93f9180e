// Classes of cells by the bytes that a launch moves, and how close to a copy each is to come.
#pragma once

#include <cstdint>
#include <string_view>

namespace ropejit::bench {

struct SizeClass {
  std::string_view name;
  std::int64_t above_bytes;  ///< cells of more bytes than this, up to the next class
  double limit;              ///< at most so many times the floor
};

inline constexpr SizeClass kSizeClasses[] = {
    {"below 5 MB", 0, 1.08},
    {"5 to 150 MB", 5'000'000, 1.05},
    {"above 150 MB", 150'000'000, 1.02},
};

/// An untuned default is to come this close to the best variant.
inline constexpr double kDefaultLimit = 1.15;
/// The layouts against each other.
inline constexpr double kLayoutLimit = 1.02;
/// Exact angles against a caller's fp32 table: up to kTableFree bytes, and above.
inline constexpr double kTableLimit = 1.03;
inline constexpr std::int64_t kTableFree = 5'000'000;

inline const SizeClass& size_class(std::int64_t bytes) {
  const SizeClass* found = &kSizeClasses[0];
  for (const SizeClass& each : kSizeClasses) {
    if (bytes > each.above_bytes) found = &each;
  }
  return *found;
}

}  // namespace ropejit::bench
