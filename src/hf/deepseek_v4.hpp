// DeepSeek-V4: a layer's kind follows from how it compresses its keys, and its rotation from whether it does.
#pragma once

#include <string>
#include <vector>

#include "hf/families.hpp"
#include "hf/layers.hpp"
#include "hf/rope_dict.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// The kinds of layers without layer_types: from compress_ratios, or the class's own pattern.
std::vector<HfLayer> deepseek_v4_layers(const ObjectReader& config, std::int64_t count);

/// The rope dictionary of the layers of one kind: "main" for sliding_attention, which no scaling applies to, and
/// "compress" for the others.
HfRopeDict deepseek_v4_dict(const ObjectReader& config, const HfFamily& family, const std::string& kind);

}  // namespace ropejit::internal
