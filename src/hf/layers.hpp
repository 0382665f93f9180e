// What a config.json says of a model's layers: their kinds, and which of them rotate.
#pragma once

#include <string>
#include <vector>

#include "hf/family.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct HfLayer {
  std::string kind = "attention";  ///< a word of layer_types
  bool rotates = true;
  bool has_indexer = false;
  bool crosses = false;  ///< its keys and values are not the tokens' own
};

/// Whether it has attention, be it without a rotation: other layers are convolutions, state spaces and the like.
bool has_attention(const HfLayer& layer);

/// The layers in order. Throws Error naming what is missing: their number, or layer_types where the family has no
/// pattern of its own. `lenient`: a model whose layers are all alike need not tell their number, and is given one.
std::vector<HfLayer> read_hf_layers(const ObjectReader& config, const HfFamily& family, bool lenient);

}  // namespace ropejit::internal
