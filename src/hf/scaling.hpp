// From a rope dictionary of a config.json to a scaling rule, with the defaults and quirks of Hugging Face transformers
// (its modeling_rope_utils, 5.24): explicit numbers of ours come out where a config leaves them to the code.
#pragma once

#include "hf/families.hpp"
#include "ropejit/scaling.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct HfScalingContext {
  const ObjectReader& config;  ///< of the language model: max_position_embeddings, original_max_position_embeddings
  const HfFamily& family;
  bool nested = false;  ///< the dictionary is that of one kind of layer
};

/// The rule of `dict`, whose rope_type (or type) is `name`, found under `name_field`. Throws Error{unsupported} for a
/// type this version does not build, naming it; Error for what is missing or out of range.
Scaling read_hf_scaling(const ObjectReader& dict, std::string_view name, std::string_view name_field,
                        const HfScalingContext& context);

}  // namespace ropejit::internal
