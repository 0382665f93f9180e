// Device memory to time launches on: one piece for a whole run, so that results of one run are of one allocation.
#pragma once

#include <cstddef>

#include "target/target.hpp"

namespace ropejit::internal {

/// Memory full of numbers near 1 in every dtype: zeros would move faster through some memories. Grows to the largest
/// size asked for. Not thread-safe.
class Arena {
 public:
  explicit Arena(const Target& target) : target_(target) {}
  char* take(std::size_t bytes);

 private:
  const Target& target_;
  DeviceBuffer memory_;
  std::size_t bytes_ = 0;
};

}  // namespace ropejit::internal
