// Device memory for cells: one piece for the whole run, of which each cell takes as many sets of tensors as keep its
// launches in the cache, or out of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "bench/cells.hpp"
#include "ropejit/tensor.hpp"
#include "target/target.hpp"

namespace ropejit::bench {

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

  static CacheSizes of(const internal::Target& target);  ///< the host target's are small, to be quick
};

/// How a cell's tensors lie in memory. Pure.
struct SetLayout {
  std::size_t q_bytes = 0;
  std::size_t k_bytes = 0;
  std::size_t set_bytes = 0;  ///< q, k and, out of place, their outputs, each at a multiple of 256
  std::size_t sets = 1;
  int launches = 1;  ///< in one replay; several, so that what a replay itself costs does not count
  bool cold = false;
  bool flush = false;  ///< all sets together are too small to push each other out: L2 is flushed before each replay

  static SetLayout of(const Cell& cell, L2 l2, const CacheSizes& sizes);
  std::size_t bytes() const { return set_bytes * sets; }
};

/// Memory full of numbers near 1 in every dtype: zeros would move faster through some memories. Grows to the largest
/// size asked for.
class Arena {
 public:
  explicit Arena(const internal::Target& target) : target_(target) {}
  char* take(std::size_t bytes);

 private:
  const internal::Target& target_;
  internal::DeviceBuffer memory_;
  std::size_t bytes_ = 0;
};

/// A cell's tensors in an arena, with positions 0 to tokens - 1 and a table where the case reads one.
class Tensors {
 public:
  Tensors(const internal::Target& target, Arena& arena, const Cell& cell, const SetLayout& layout);

  RopeArgs args(int launch) const;
  /// What a copy of the same bytes reads and writes.
  char* copy_from(int launch) const { return set(launch); }
  char* copy_to(int launch) const;

 private:
  char* set(int launch) const;

  const Cell cell_;
  const SetLayout layout_;
  char* memory_;
  internal::DeviceBuffer ids_;  ///< a list for each set
  internal::DeviceBuffer table_;
};

}  // namespace ropejit::bench
