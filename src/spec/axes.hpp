// Which axis each pair belongs to, and its place there.
#pragma once

#include <cstdint>
#include <vector>

#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// Throws Error{invalid_argument} naming what of spec.axes does not fit: the number of sections, their sum, their
/// agreement with the order, a layout or a scaling rule that does not go with them. spec.rotary_dim must be valid.
void validate_axes(const RopeSpec& spec);

struct PairAxis {
  std::uint8_t axis = 0;
  std::int64_t place = 0;  ///< among the axis' pairs, counted from 0
};

/// The axis and place of each pair of a valid spec: axis 0 and place i where it has no sections.
std::vector<PairAxis> pair_axes(const RopeSpec& spec);

}  // namespace ropejit::internal
