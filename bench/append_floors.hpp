// The floor of what appends to a cache: kernels that read the same sources, slots and positions as it does, write the
// same bytes to the same rows, and compute nothing.
//
//     append_v16_w4_t256   words of 16 bytes, 4 a thread, 256 threads a block; neighbouring threads have neighbouring
//                          words of a token's row of q, k and v, a thread's own words are a block's width apart
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/cells.hpp"
#include "codegen/kernel_source.hpp"
#include "ropejit/tensor.hpp"
#include "target/target.hpp"

namespace ropejit::bench {

struct AppendCopy {
  std::uint32_t width = 16;     ///< bytes of a word: 4, 8 or 16
  std::uint32_t words = 1;      ///< a thread
  std::uint32_t threads = 256;  ///< a block

  std::string name() const;
  internal::KernelSource source(const Case& what) const;
};

/// The kernels to try. `few`: two, for slow targets.
std::vector<AppendCopy> append_copies(const Case& what, bool few);

/// Queues a copy of what a launch with these arguments (Tensors) moves. Throws Error where the target refuses.
void launch_append(const AppendCopy& copy, const internal::LoadedKernel& kernel, const Case& what, const RopeArgs& args,
                   void* stream);

}  // namespace ropejit::bench
