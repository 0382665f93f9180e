// Frequencies of the pairs in wide arithmetic (256 bits, Boost.Multiprecision), so that steps are correctly
// rounded and the same on every machine: hashes of steps are cache keys.
#pragma once

#include <cstdint>
#include <vector>

#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// "Correctly rounded": to nearest, ties to even, once, from the wide value.
struct Frequencies {
  /// Turns per position as fractions of 2^64, correctly rounded: of the w_i rounded to fp32 where spec.angle says so.
  std::vector<std::uint64_t> steps;
  std::vector<double> inv_freq;      ///< the w_i that the steps are of, in radians per position; correctly rounded
  std::vector<float> inv_freq_fp32;  ///< w_i correctly rounded to fp32, whatever spec.angle says; inf above its range
  double attention_scale = 1.0;      ///< the attention scale A, correctly rounded
};

/// `spec` must be valid. Throws Error{unsupported} where the rule depends on a length and spec.max_length is absent.
Frequencies frequencies(const RopeSpec& spec);

}  // namespace ropejit::internal
