#include "support/range.hpp"

#include <fmt/format.h>

#include "support/text.hpp"

namespace ropejit::internal {

std::string IntRange::describe() const {
  const char* kind = even ? "an even number" : "an integer";
  if (min == max) return grouped(min);
  return fmt::format("{} from {} to {}", kind, grouped(min), grouped(max));
}

std::string PositiveRange::describe() const {
  if (min > 0) return fmt::format("a number from {} to {}", min, max);
  if (or_zero) return std::isinf(max) ? "a finite number, 0 or above" : fmt::format("a number from 0 to {}", max);
  if (std::isinf(max)) return "a finite number above 0";
  return fmt::format("a number above 0 and at most {}", max);
}

std::string Fp32Range::describe() const {
  return above_zero ? "a number that is finite and above 0 as fp32" : "a number that is finite as fp32";
}

}  // namespace ropejit::internal
