// The rope dictionary of a config.json: rope_scaling of older releases, rope_parameters of newer ones, which holds
// rope_theta and partial_rotary_factor too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hf/axes.hpp"
#include "hf/families.hpp"
#include "hf/layers.hpp"
#include "ropejit/scaling.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// A value and the field that gave it, for messages.
struct SourcedNumber {
  double value = 0;
  std::string field;
};

/// Keeps the first of several fields that say the same thing; throws Error{invalid_argument} where they disagree.
void take(std::optional<SourcedNumber>& kept, const ObjectReader& reader, const char* key, const PositiveRange& range);

struct HfRopeDict {
  bool of_layer_kind = false;  ///< theta wins over the config's, as that of some layers alone
  Scaling scaling = NoScaling{};
  std::optional<SourcedNumber> theta;
  std::optional<SourcedNumber> fraction;
  std::optional<HfSections> sections;
};

/// The dictionaries by kind of layer, where rope_parameters (or rope_scaling) holds such; nothing where it does not.
std::optional<ObjectReader> find_nested_rope_dicts(const ObjectReader& config, const std::vector<HfLayer>& layers);

/// One of those. Keys it does not know are ignored.
HfRopeDict read_nested_rope_dict(const ObjectReader& dict, const ObjectReader& config, const HfFamily& family);

/// The dictionary of all layers. Keys it does not know are ignored. Throws Error{unsupported} for a rope_type of a
/// later version, for dictionaries nested by kind of layer and for several axes in a family that has one.
HfRopeDict read_hf_rope_dict(const ObjectReader& config, const HfFamily& family);

}  // namespace ropejit::internal
