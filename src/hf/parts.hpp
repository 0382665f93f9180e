// The parts of a model: a config.json may hold the configs of several, of which one is the language model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ropejit/model.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct HfParts {
  ObjectReader top;
  ObjectReader model;  ///< what holds the parts: the top, or the part of it that understands, in models that speak too
  ObjectReader language;  ///< what describes the language model: `model`, or one of its members (text_config, ...)
};

/// Throws Error where no object of those describes layers while others do, which it names, and where a file tells of
/// its language model twice and in two ways.
HfParts find_hf_parts(const ObjectReader& top);

/// A model's vision tower: vision_config. Its patches have two positions each.
struct HfVision {
  std::int64_t layers = 0;
  std::optional<RopeSpec> spec;  ///< the rotation of every layer, validated
  std::string refusal;           ///< why there is none: a message; empty where there is one
};

/// Nothing where the model has no tower, or one that is known to have no rotation. `model_type` of the whole model, for
/// files whose vision_config has none; `dtype` where it has none.
std::optional<HfVision> read_hf_vision(const ObjectReader& model, const std::string& model_type, DType dtype,
                                       const ModelOptions& options);

/// A line for each part with a rotation of its own that is neither the language model nor vision_config. Nothing is
/// built for them.
std::vector<std::string> unbuilt_hf_parts(const HfParts& parts);

}  // namespace ropejit::internal
