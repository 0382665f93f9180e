// The models whose shapes records are shipped for (cache/records/).
#pragma once

#include <string>
#include <vector>

#include "ropejit/spec.hpp"

namespace ropejit::bench {

struct ShippedModel {
  std::string name;  ///< the best known of those that have this shape
  Operand q;
  Operand k;
  std::int64_t rotary_dim = 0;
};

/// Each shape once. Other numbers of heads, such as a rank's part of them, are served by these where they are near
/// enough (tune/record_set.hpp).
const std::vector<ShippedModel>& shipped_models();

/// Both layouts and both 16-bit dtypes of every shape, in that order.
std::vector<RopeSpec> shipped_specs();

}  // namespace ropejit::bench
