// The floor of a cell: kernels that copy what a launch moves and do nothing else.
//
//     linear_v16_w4_t256       words of 16 bytes, 4 a thread, 256 threads a block; neighbouring threads have
//     neighbouring
//                              words, a thread's own words are a block's width apart
//     linear_v16_w4_t256_far   a thread's own words are the grid's width apart
//     rows_v8_w2_t256          only the first lanes of each head's row: what partial rotation in place moves
//     memcpy                   the driver's own copy, to other memory
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codegen/kernel_source.hpp"
#include "target/target.hpp"

namespace ropejit::bench {

struct CopyKernel {
  std::uint32_t width = 16;     ///< bytes of a word: 2, 4, 8 or 16
  std::uint32_t words = 1;      ///< a thread
  std::uint32_t threads = 256;  ///< a block
  bool far = false;
  std::uint32_t row_bytes = 0;  ///< from one row to the next; 0: linear
  std::uint32_t row_moved = 0;  ///< of a row, from its beginning; a multiple of width

  std::string name() const;
  internal::KernelSource source() const;
};

/// The kernels to try where rows of row_bytes bytes are moved up to row_moved. `few`: two, for slow targets.
std::vector<CopyKernel> copy_kernels(std::uint32_t row_bytes, std::uint32_t row_moved, bool few);

/// Queues a copy of `bytes` bytes, of rows those that are moved. Throws Error where the target refuses.
void launch_copy(const CopyKernel& copy, const internal::LoadedKernel& kernel, void* to, const void* from,
                 std::uint64_t bytes, void* stream);

}  // namespace ropejit::bench
