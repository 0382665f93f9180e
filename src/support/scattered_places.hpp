// Places of a cache in no order, each once: what programs that measure and check deal to tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace ropejit::internal {

/// `count` of the places 0 to among - 1, from `first` on a step further each that has no divisor in common with their
/// number: distinct as long as there are as many. among: 1 or more.
inline std::vector<std::int64_t> scattered_places(std::int64_t count, std::int64_t among, std::int64_t first) {
  std::int64_t step = among * 5 / 8 + 1;
  while (std::gcd(step, among) != 1) ++step;
  std::vector<std::int64_t> places(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = (first + static_cast<std::int64_t>(i) * step) % among;
  return places;
}

}  // namespace ropejit::internal
