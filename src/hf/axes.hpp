// M-RoPE's sections as a config.json has them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hf/families.hpp"
#include "ropejit/axes.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct HfSections {
  std::vector<std::int64_t> pairs;  ///< of each axis, in the config's order
  std::string field;                ///< that gave them
};

/// The sections of a rope dictionary. Throws Error{unsupported} for those of a family with one axis, and for a dealing
/// (mrope_interleaved) that is not the family's.
std::optional<HfSections> find_hf_sections(const ObjectReader& dict, const HfFamily& family);

/// The axes of a family that has several, for the sections given or else its class's own. Throws Error naming what does
/// not fit.
Axes read_hf_axes(const ObjectReader& config, const HfFamily& family, const std::optional<HfSections>& sections,
                  std::int64_t rotary_dim);

}  // namespace ropejit::internal
