// The arithmetic of an RMS norm. Its bits belong to the class: the sum of squares is a tree over the head's lanes that
// depends on their number alone, never on the rotation, the layout or the words in which they are read.
//
// The tree. A head has head_dim / 2 pairs of neighbouring lanes. The squares of pair i and of pair i + ceil(pairs / 2),
// half the row away, are added one after the other; then what pairs 2i and 2i + 1 of the first half have, then 4i and
// 4i + 2, and so on upward. A partner that does not exist is not added, which is as if it were +0. So a thread that
// holds neighbouring lanes and those half a row away, as a rotation of halves does, adds them by itself, and only then
// asks other threads.
#pragma once

#include "pairs.cuh"

namespace ropejit {

// Lanes of the first half of a head's row, whole pairs; the second half has as many, or two fewer.
ROPEJIT_ANYWHERE constexpr u32 first_half_of(u32 head_dim) { return (head_dim + 3) / 4 * 2; }

// Of the lanes a and b of a pair, and c and d of the pair half the row away.
__device__ __forceinline__ float sum_of_squares(float a, float b, float c, float d) {
  return multiply_add(d, d, multiply_add(c, c, multiply_add(b, b, multiply(a, a))));
}

// What neighbouring lanes of the first half and those half a row away come to. `lanes` is a power of two; lanes that do
// not exist are 0.
template <u32 lanes>
__device__ __forceinline__ float sum_of_part(const float (&low)[lanes], const float (&high)[lanes]) {
  float sum[lanes / 2];
#pragma unroll
  for (u32 i = 0; i < lanes / 2; ++i) {
    sum[i] = sum_of_squares(low[2 * i], low[2 * i + 1], high[2 * i], high[2 * i + 1]);
  }
#pragma unroll
  for (u32 step = 1; step < lanes / 2; step *= 2) {
#pragma unroll
    for (u32 i = 0; i < lanes / 2; i += 2 * step) sum[i] = add(sum[i], sum[i + step]);
  }
  return sum[0];
}

// 1 / sqrt(x) of a normal number, within 1.5 * 2^-24 of it and of the same bits everywhere, as the hardware's
// reciprocal root is not: an integer's guess (within 6.6e-4 after one step of Newton's), then a step of third order. An
// infinite x gives 0.
__device__ __forceinline__ float reciprocal_root(float x) {
  const float guess = float_from_bits(0x5f1ffff9u - (bits_of(x) >> 1));
  const float rough = multiply(multiply(0.703952253f, guess), multiply_add(-multiply(x, guess), guess, 2.38924456f));
  const float left = multiply_add(-multiply(x, rough), rough, 1.0f);
  const float root = multiply_add(multiply(rough, left), multiply_add(left, 0.375f, 0.5f), rough);
  return bits_of(x) == 0x7f800000u ? 0.0f : root;
}

// r; `share` is 1 / head_dim, rounded.
__device__ __forceinline__ float reciprocal_rms(float sum, float share, float eps) {
  return reciprocal_root(add(multiply(sum, share), eps));
}

// The place of a bit pattern's reverse, of numbers below `count`, a power of two.
ROPEJIT_ANYWHERE constexpr u32 reversed(u32 number, u32 count) {
  u32 result = 0;
  for (u32 bit = 1; bit < count; bit *= 2) result = 2 * result + (number & bit ? 1 : 0);
  return result;
}

// r of `heads` heads, a power of two, for all of a segment's threads; `part` is what a thread's lanes of each come to.
// Every thread of the warp calls it at once. Several heads are shared out: at each step a thread gives away half of its
// sums and adds its partner's to the others, so that it ends with one sum and works out one root, and takes the other
// heads' from its neighbours. Which of two partners adds makes no difference to a sum.
template <u32 threads, u32 heads>
__device__ __forceinline__ void reciprocals_of_segment(const float (&part)[heads], u32 thread, float share, float eps,
                                                       float (&r)[heads]) {
  static_assert(heads <= threads, "");
  float sum[heads];
#pragma unroll
  for (u32 i = 0; i < heads; ++i) sum[i] = part[i];
#pragma unroll
  for (u32 step = 1; step < heads; step *= 2) {
    const bool upper = (thread & step) != 0;
    const u32 kept = heads / 2 / step;
#pragma unroll
    for (u32 i = 0; i < kept; ++i) {
      const float own = upper ? sum[i + kept] : sum[i];
      const float given = upper ? sum[i] : sum[i + kept];
      sum[i] = add(own, __shfl_xor_sync(0xffffffffu, given, step));
    }
  }
  u32 step = heads;
  // Where a thread has one head there is nothing else to do while a sum is on its way: two steps of the tree go at
  // once.
  if constexpr (heads == 1) {
#pragma unroll
    for (; 4 * step <= threads; step *= 4) {
      const float second = __shfl_xor_sync(0xffffffffu, sum[0], step);
      const float third = __shfl_xor_sync(0xffffffffu, sum[0], 2 * step);
      const float fourth = __shfl_xor_sync(0xffffffffu, sum[0], 3 * step);
      sum[0] = add(add(sum[0], second), add(third, fourth));
    }
  }
#pragma unroll
  for (; step < threads; step *= 2) sum[0] = add(sum[0], __shfl_xor_sync(0xffffffffu, sum[0], step));
  const float own = reciprocal_rms(sum[0], share, eps);
#pragma unroll
  for (u32 h = 0; h < heads; ++h) {
    r[h] = heads == 1 ? own : __shfl_sync(0xffffffffu, own, static_cast<int>(reversed(h, heads)), heads);
  }
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
