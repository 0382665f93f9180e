// The arithmetic of an RMS norm. Its bits belong to the class: the sum of squares is a tree over the head's lanes that
// depends on their number alone, never on the rotation, the layout or the words in which they are read.
//
// The tree. A head has head_dim / 2 pairs of neighbouring lanes. A pair's squares are added; then pair i and pair i +
// ceil(pairs / 2), half the row away; then what pairs 2i and 2i + 1 of the first half have, then 4i and 4i + 2, and so
// on upward. A partner that does not exist is not added, which is as if it were +0. So a thread that holds neighbouring
// lanes and those half a row away, as a rotation of halves does, adds them by itself, and only then asks other threads.
#pragma once

#include "pairs.cuh"

namespace ropejit {

// Lanes of the first half of a head's row, whole pairs; the second half has as many, or two fewer.
ROPEJIT_ANYWHERE constexpr u32 first_half_of(u32 head_dim) { return (head_dim + 3) / 4 * 2; }

__device__ __forceinline__ float sum_of_squares(float x, float y) { return add(multiply(x, x), multiply(y, y)); }

// What neighbouring lanes of the first half and those half a row away come to. `lanes` is a power of two; lanes that do
// not exist are 0.
template <u32 lanes>
__device__ __forceinline__ float sum_of_part(const float (&low)[lanes], const float (&high)[lanes]) {
  float sum[lanes / 2];
#pragma unroll
  for (u32 i = 0; i < lanes / 2; ++i) {
    sum[i] = add(sum_of_squares(low[2 * i], low[2 * i + 1]), sum_of_squares(high[2 * i], high[2 * i + 1]));
  }
#pragma unroll
  for (u32 step = 1; step < lanes / 2; step *= 2) {
#pragma unroll
    for (u32 i = 0; i < lanes / 2; i += 2 * step) sum[i] = add(sum[i], sum[i + step]);
  }
  return sum[0];
}

// What the parts of a segment's threads come to, for all of them. Every thread of the warp calls it at once.
template <u32 threads>
__device__ __forceinline__ float sum_of_segment(float part) {
#pragma unroll
  for (u32 step = 1; step < threads; step *= 2) part = add(part, __shfl_xor_sync(0xffffffffu, part, step));
  return part;
}

// r; `share` is 1 / head_dim, rounded. Division and root are correctly rounded; the hardware's reciprocal root is not
// the same on all GPUs.
__device__ __forceinline__ float reciprocal_rms(float sum, float share, float eps) {
  return divide(1.0f, square_root(add(multiply(sum, share), eps)));
}

// One lane.
template <Element E, bool round_normed, bool round_weighted>
__device__ __forceinline__ float normed(float lane, float r, float weight) {
  float result = multiply(lane, r);
  if constexpr (round_normed) result = rounded_to<E>(result);
  result = multiply(result, weight);
  if constexpr (round_weighted) result = rounded_to<E>(result);
  return result;
}

// Weights of `count` neighbouring lanes from `first` on.
template <Element W, u32 count, u32 word_bytes, u32 lanes>
__device__ __forceinline__ void load_weights(const void* weights, u32 first, float (&weight)[lanes], u32 to) {
  constexpr u32 bytes = access_of(count, bytes_of(W), word_bytes);
  constexpr u32 step = bytes / bytes_of(W);
  const char* const at = static_cast<const char*>(weights) + first * bytes_of(W);
#pragma unroll
  for (u32 i = 0; i < count; i += step) unpack<W>(load_word<bytes>(at + i * bytes_of(W)), weight, to + i);
}

}  // namespace ropejit
