// How much memory launches are timed on: one set of tensors that the L2 cache holds, or so many that none is found
// there.
#pragma once

#include <cstddef>

#include "target/target.hpp"

namespace ropejit::internal {

enum class L2 {
  automatic,  ///< hot where a set is small against the cache, else cold
  hot,        ///< one set for all launches
  cold,       ///< no launch finds its tensors in L2
};

/// How large caches are taken to be, in bytes, and how much is worth doing on the target.
struct CacheSizes {
  std::size_t fits = 24U << 20;     ///< a set of this size stays in L2
  std::size_t beyond = 384U << 20;  ///< after so many other bytes nothing is left of it
  int launches = 200;               ///< at most so many in one replay

  static CacheSizes of(const Target& target);  ///< the host target's are small, to be quick
};

/// How the sets of one kind of launch lie in memory, and how often it is launched in one replay. Pure.
struct WorkingSet {
  std::size_t set_bytes = 0;  ///< all tensors of a launch
  std::size_t sets = 1;
  int launches = 1;  ///< in one replay; several, so that what a replay itself costs does not count
  bool cold = false;
  bool flush = false;  ///< all sets together are too small to push each other out: L2 is flushed before each replay

  /// `moved_bytes`: read and written by a launch. `replay_us`: about how long a replay is to take.
  static WorkingSet of(std::size_t set_bytes, double moved_bytes, L2 l2, const CacheSizes& sizes,
                       double replay_us = 300);
  std::size_t bytes() const { return set_bytes * sets; }
};

/// Device memory to time launches on, full of numbers near 1 in every dtype: zeros would move faster through some
/// memories. To be taken once for a whole run, as large as it gets, so that results of one run are of one allocation.
DeviceBuffer memory_to_time_on(const Target& target, std::size_t bytes);

}  // namespace ropejit::internal
