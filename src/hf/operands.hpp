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

/// Sets q and k but for the lanes that rotate, and returns the heads of all ranks. `kind` of layer: those of a few
/// families have heads of their own.
HfHeads read_hf_heads(const ObjectReader& config, const HfFamily& family, const std::string& kind, std::int64_t tp,
                      RopeSpec& spec);

/// Sets rotary_dim and the lanes of q and k that rotate; their heads are set already, and spec.scaling, which takes the
/// fraction where it is proportional.
void read_hf_rotating_lanes(const ObjectReader& config, const HfFamily& family, const HfRopeDict& dict, RopeSpec& spec);

}  // namespace ropejit::internal
