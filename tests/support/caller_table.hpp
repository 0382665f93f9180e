// What a direction makes of cos and sin from the caller, whose scale is not known but by their length.
#pragma once

#include "ropejit/spec.hpp"

namespace ropejit::internal {

struct Turn {
  double cos = 1;
  double sin = 0;
};

/// `forward` is the table's row for |position| where the direction is shift, and for the position elsewhere;
/// `backwards`: a shift by a negative number. The inverse divides by cos^2 + sin^2 and a shift by its root.
Turn directed(Direction direction, const Turn& forward, bool backwards = false);

}  // namespace ropejit::internal
