// The rope dictionary of a config.json: rope_scaling of older releases, rope_parameters of newer ones, which holds
// rope_theta and partial_rotary_factor too, and M-RoPE's sections. Keys that are not known are left to others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hf/family.hpp"
#include "hf/layers.hpp"
#include "ropejit/axes.hpp"
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

struct HfSections {
  std::vector<std::int64_t> pairs;  ///< pairs of each axis, in the config's order
  std::string field;                ///< the field that gave them
};

struct HfRopeDict {
  bool of_layer_kind = false;  ///< theta wins over the config's, as that of some layers alone
  Scaling scaling = NoScaling{};
  std::optional<SourcedNumber> theta;
  std::optional<SourcedNumber> fraction;
  std::optional<HfSections> sections;
};

/// The dictionaries by kind of layer, where rope_parameters (or rope_scaling) holds such; nothing where it does not.
std::optional<ObjectReader> find_nested_rope_dicts(const ObjectReader& config, const std::vector<HfLayer>& layers);

/// Reads one of the dictionaries that find_nested_rope_dicts found.
HfRopeDict read_nested_rope_dict(const ObjectReader& dict, const ObjectReader& config, const HfFamily& family);

/// Throws Error{unsupported} where a config without dictionaries by kind of layer says a rotation for all layers, of a
/// family whose class knows rotations by kind of layer alone.
void require_no_theta_for_all(const ObjectReader& config);

/// What holds for the layers of one kind. `nested`: what find_nested_rope_dicts found. Throws Error{unsupported} for a
/// rope_type of a later version, for dictionaries nested by kind of layer that no layer has, and for several axes, or a
/// dealing of them (mrope_interleaved), that are not the family's.
HfRopeDict read_hf_rope_dict(const ObjectReader& config, const HfFamily& family,
                             const std::optional<ObjectReader>& nested, const std::string& kind);

/// From a rope dictionary to a scaling rule, with the defaults and quirks of Hugging Face transformers (its
/// modeling_rope_utils, 5.24): explicit numbers of ours come out where a config leaves them to the code. `config`: of
/// the language model, for its lengths; `nested`: the dictionary is that of one kind of layer. Throws
/// Error{unsupported} for a type that this version does not build, and Error for what is missing or out of range.
Scaling read_hf_scaling(const ObjectReader& dict, const ObjectReader& config, const HfFamily& family, bool nested);

/// The axes of a family that has several, for the sections given or else its class's own. Throws Error naming what does
/// not fit.
Axes read_hf_axes(const ObjectReader& config, const HfFamily& family, const std::optional<HfSections>& sections,
                  std::int64_t rotary_dim);

}  // namespace ropejit::internal
