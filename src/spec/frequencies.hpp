// Frequencies of the pairs in wide arithmetic (256 bits, Boost.Multiprecision), so that steps are correctly
// rounded and the same on every machine: hashes of steps are cache keys.
#pragma once

#include <cstdint>
#include <vector>

#include "ropejit/spec.hpp"

namespace ropejit::internal {

struct Frequencies {
  std::vector<std::uint64_t> steps;  ///< turns per position, fractions of 2^64, correctly rounded
  std::vector<double> inv_freq;      ///< radians per position, correctly rounded
  double attention_scale = 1.0;      ///< A, correctly rounded
};

/// `spec` must be valid. Throws Error{unsupported} where the rule depends on a length and spec.max_length is absent.
Frequencies frequencies(const RopeSpec& spec);

}  // namespace ropejit::internal
