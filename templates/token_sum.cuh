// The sum over all heads of a token, of a norm that spans them (NormSpan::token). Its tree depends on the number of
// heads alone: with heads = m 2^e, m odd, the heads' sums are added in 2^e blocks of m neighbours, within a block one
// after the other, and then blocks 2i and 2i + 1, 4i and 4i + 2, and so on upward. So the sum of a token whose heads
// are halved among two ranks is that of both ranks' sums, and likewise for other powers of two that divide the heads.
#pragma once

#include "seat.cuh"

namespace ropejit {

// What `count` neighbouring blocks of `per_block` heads come to, one above the other; `count` is a power of two.
template <u32 count, u32 per_block>
__device__ __forceinline__ float sum_of_blocks(const float* sums) {
  if constexpr (count == 1) {
    float sum = sums[0];
    for (u32 i = 1; i < per_block; ++i) sum = add(sum, sums[i]);
    return sum;
  } else {
    const float first = sum_of_blocks<count / 2, per_block>(sums);
    return add(first, sum_of_blocks<count / 2, per_block>(sums + count / 2 * per_block));
  }
}

// The token's sum, for all threads of a warp, which are of one token; `sums` are those of its heads. Every thread of
// the warp calls it at once.
template <u32 heads>
__device__ __forceinline__ float sum_of_heads(const float* sums) {
  constexpr u32 blocks = power_in(heads, MostTokenHeads);
  constexpr u32 per_block = heads / blocks;
  constexpr u32 lanes = blocks < 32 ? blocks : 32;
  constexpr u32 of_lane = blocks / lanes;
  const u32 lane = threadIdx.x % lanes;
  float sum = sum_of_blocks<of_lane, per_block>(sums + lane * of_lane * per_block);
#pragma unroll
  for (u32 step = 1; step < lanes; step *= 2) sum = add(sum, __shfl_xor_sync(0xffffffffu, sum, step));
  return sum;
}

}  // namespace ropejit
