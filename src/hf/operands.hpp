// The two tensors of a model's attention: head counts, a rank's share of them, lanes and which of them rotate.
#pragma once

#include <cstdint>
#include <string>

#include "hf/family.hpp"
#include "hf/rope_dict.hpp"
#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// A rank's share of query heads. Throws Error{invalid_argument} naming tp where it does not divide them; `field` gave
/// their number.
std::int64_t share_q_heads(const std::string& field, std::int64_t heads, std::int64_t tp);

/// Sets q, k and rotary_dim; spec.scaling is set already, and takes the fraction where it is proportional. `kind` of
/// layer: those of a few families have heads of their own.
void read_hf_operands(const ObjectReader& config, const HfFamily& family, const HfRopeDict& dict,
                      const std::string& kind, std::int64_t tp, RopeSpec& spec);

}  // namespace ropejit::internal
