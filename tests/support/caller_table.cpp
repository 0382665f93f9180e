#include "support/caller_table.hpp"

#include <cmath>

namespace ropejit::internal {

Turn directed(Direction direction, const Turn& forward, bool backwards) {
  const double squared = forward.cos * forward.cos + forward.sin * forward.sin;
  switch (direction) {
    case Direction::forward: return forward;
    case Direction::adjoint: return {forward.cos, -forward.sin};
    case Direction::inverse: return {forward.cos / squared, -forward.sin / squared};
    case Direction::shift: {
      const double length = std::sqrt(squared);
      return {forward.cos / length, (backwards ? -forward.sin : forward.sin) / length};
    }
  }
  return forward;
}

}  // namespace ropejit::internal
