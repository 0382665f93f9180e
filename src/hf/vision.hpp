// The vision tower of a model: vision_config. Its patches have two positions each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ropejit/model.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct HfVision {
  std::int64_t layers = 0;
  std::optional<RopeSpec> spec;  ///< of every layer, validated
  std::string refusal;           ///< why there is none: a message; empty where there is one
};

/// Nothing where the model has no tower, or one that is known to have no rotation. `model_type` of the whole model, for
/// files whose vision_config has none; `dtype` where it has none.
std::optional<HfVision> read_hf_vision(const ObjectReader& model, const std::string& model_type, DType dtype,
                                       const ModelOptions& options);

}  // namespace ropejit::internal
