// Random numbers by their number, in any order and the same everywhere: what trials fill tensors with.
#pragma once

#include <cstdint>

namespace ropejit::internal {

/// Steele, Lea and Flood's SplitMix64: one good 64-bit number for each index.
inline std::uint64_t random_bits(std::uint64_t index) {
  std::uint64_t z = (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// Close to normal, with variance 1: the sum of four 16-bit uniform numbers.
inline double random_normal(std::uint64_t index) {
  const std::uint64_t bits = random_bits(index);
  const std::uint64_t sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
  return (static_cast<double>(sum) - 131070.0) / 37837.2;
}

}  // namespace ropejit::internal
