// Which of a token's positions turns which pair: include/ropejit/axes.hpp, worked out for the oracle.
#pragma once

#include <cstdint>
#include <vector>

#include "ropejit/spec.hpp"

namespace ropejit::internal {

struct OraclePairAxis {
  std::int64_t axis = 0;
  std::int64_t place = 0;  ///< it is the place-th pair of its axis, from 0
};

/// The axis of every pair of `spec`, which must be valid. Without sections it is 0 for all.
std::vector<OraclePairAxis> oracle_pair_axes(const RopeSpec& spec);

/// Positions that a token has: 1 without sections.
std::int64_t oracle_axis_count(const RopeSpec& spec);

}  // namespace ropejit::internal
