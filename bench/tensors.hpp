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
#include "tune/working_set.hpp"

namespace ropejit::bench {

using internal::CacheSizes;
using internal::L2;

/// How a cell's tensors lie in memory, each at a multiple of 256. A set is q, k and, out of place, their outputs; with
/// a cache it is rows of q, k and v together, q's output, and the pages of k and of v. Pure.
struct SetLayout : internal::WorkingSet {
  std::size_t q_bytes = 0;
  std::size_t k_bytes = 0;
  std::size_t page_bytes = 0;  ///< of all pages of k, and of v; 0 of rotations

  static SetLayout of(const Cell& cell, L2 l2, const CacheSizes& sizes);
};

/// Tokens of a page.
inline constexpr std::int64_t kBlockSize = 16;

/// A cell's tensors in memory of at least layout.bytes() bytes, with positions 0 to tokens - 1, a table where the case
/// reads one, and slots and weights where there are pages: the slots are all over the pages, in no order.
class Tensors {
 public:
  Tensors(const internal::Target& target, const internal::DeviceBuffer& memory, const Cell& cell,
          const SetLayout& layout);

  RopeArgs args(int launch) const;
  /// What a copy of a rotation's bytes reads and writes.
  char* copy_from(int launch) const { return set(launch); }
  char* copy_to(int launch) const;

 private:
  char* set(int launch) const;
  RopeArgs rotation_args(int launch) const;
  RopeArgs append_args(int launch) const;
  void add_stages(RopeArgs& args) const;

  const Cell cell_;
  const SetLayout layout_;
  char* memory_;
  internal::DeviceBuffer ids_;  ///< a list for each set
  internal::DeviceBuffer table_;
  internal::DeviceBuffer slots_;    ///< a list for each set
  internal::DeviceBuffer weights_;  ///< of norms, and their biases
};

}  // namespace ropejit::bench
