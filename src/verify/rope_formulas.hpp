// The formulas of include/ropejit/scaling.hpp, worked out for the oracle.
#pragma once

#include <vector>

#include "ropejit/spec.hpp"
#include "verify/wide_number.hpp"

namespace ropejit::internal {

/// w_i of every pair. `spec` must be valid, and have a max_length where its rule depends on one.
std::vector<WideNumber> oracle_frequencies(const RopeSpec& spec);

/// A: what cos and sin are multiplied by.
double oracle_attention_scale(const RopeSpec& spec);

}  // namespace ropejit::internal
