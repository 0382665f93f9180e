// The arithmetic of a norm. Its bits belong to the class: sums are trees over the head's normed lanes that depend on
// their number alone, never on the rotation, the layout or the words in which they are read.
//
// The tree. A head has lanes / 2 pairs of neighbouring normed lanes. The squares of pair i and of pair i + ceil(pairs /
// 2), half the row away, are added one after the other; then what pairs 2i and 2i + 1 of the first half have, then 4i
// and 4i + 2, and so on upward. A partner that does not exist is not added, which is as if it were +0. So a thread that
// holds neighbouring lanes and those half a row away, as a rotation of halves does, adds them by itself, and only then
// asks other threads. Sums of lanes as they are, which a layer norm's mean needs, go the same way. For a norm over the
// token see token_sum.cuh.
#pragma once

#include "pairs.cuh"

namespace ropejit {

// Lanes of the first half of a row's normed lanes, whole pairs; the second half has as many, or two fewer.
ROPEJIT_ANYWHERE constexpr u32 first_half_of(u32 lanes) { return (lanes + 3) / 4 * 2; }

// What is added of each lane.
enum class Summand : u32 { square, lane };

// Of the lanes a and b of a pair, and c and d of the pair half the row away.
__device__ __forceinline__ float sum_of_squares(float a, float b, float c, float d) {
  return multiply_add(d, d, multiply_add(c, c, multiply_add(b, b, multiply(a, a))));
}

template <Summand summand>
__device__ __forceinline__ float sum_of_four(float a, float b, float c, float d) {
  if constexpr (summand == Summand::square) {
    return sum_of_squares(a, b, c, d);
  } else {
    return add(add(add(a, b), c), d);
  }
}

// What neighbouring lanes of the first half and those half a row away come to. `lanes` is a power of two; lanes that do
// not exist are 0.
template <Summand summand, u32 lanes>
__device__ __forceinline__ float sum_of_part(const float (&low)[lanes], const float (&high)[lanes]) {
  float sum[lanes / 2];
#pragma unroll
  for (u32 i = 0; i < lanes / 2; ++i) {
    sum[i] = sum_of_four<summand>(low[2 * i], low[2 * i + 1], high[2 * i], high[2 * i + 1]);
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

// r; `share` is 1 / the number of lanes, rounded.
__device__ __forceinline__ float reciprocal_rms(float sum, float share, float eps) {
  return reciprocal_root(add(multiply(sum, share), eps));
}

// r of a norm of that kind, of the sum of squares; of a layer norm those of lanes less their mean. The root's argument
// is a normal number where eps is no less than 1e-18.
__device__ __forceinline__ float statistic_of_sum(NormKind kind, float sum, float share, float eps) {
  if (kind != NormKind::l2) return reciprocal_rms(sum, share, eps);
  const float least = multiply(eps, eps);
  return reciprocal_root(sum < least ? least : sum);
}

// The place of a bit pattern's reverse, of numbers below `count`, a power of two.
ROPEJIT_ANYWHERE constexpr u32 reversed(u32 number, u32 count) {
  u32 result = 0;
  for (u32 bit = 1; bit < count; bit *= 2) result = 2 * result + (number & bit ? 1 : 0);
  return result;
}

// finish(sum) of `heads` heads, a power of two, for all of a segment's threads; `part` is what a thread's lanes of each
// come to. Every thread of the warp calls it at once. Several heads are shared out: at each step a thread gives away
// half of its sums and adds its partner's to the others, so that it ends with one sum and finishes that, and takes the
// other heads' from its neighbours. Which of two partners adds makes no difference to a sum.
template <u32 threads, u32 heads, class Finish>
__device__ __forceinline__ void sums_of_segment(const float (&part)[heads], u32 thread, const Finish& finish,
                                                float (&result)[heads]) {
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
  const float own = finish(sum[0]);
#pragma unroll
  for (u32 h = 0; h < heads; ++h) {
    result[h] = heads == 1 ? own : __shfl_sync(0xffffffffu, own, static_cast<int>(reversed(h, heads)), heads);
  }
}

// One lane. `mean` is of a layer norm, weight and bias are where the norm has them; round(x) is x rounded to the
// class's element.
template <class Round>
__device__ __forceinline__ float normed(const NormConfig& norm, const Round& round, float lane, float r, float mean,
                                        float weight, float bias) {
  float result = multiply(norm.kind == NormKind::layer ? add(lane, -mean) : lane, r);
  if (norm.round_normed) result = round(result);
  if (norm.weights != NormWeight::none) {
    result = multiply(result, norm.plus_one ? add(1.0f, weight) : weight);
    if (norm.round_weighted) result = round(result);
  }
  if (norm.has_bias) {
    result = add(result, bias);
    if (norm.round_biased) result = round(result);
  }
  return result;
}

// A lane held within a limit and its negative; a NaN stays.
__device__ __forceinline__ float clamped(float lane, float most) {
  return lane > most ? most : lane < -most ? -most : lane;
}

// `count` neighbouring numbers of a list from number `first` on, as they lie in memory: weights, biases.
template <Element W, u32 count, u32 word_bytes>
__device__ __forceinline__ Word<count * bytes_of(W)> load_numbers(const void* numbers, u32 first) {
  constexpr u32 bytes = access_of(count, bytes_of(W), word_bytes);
  const char* const at = static_cast<const char*>(numbers) + first * bytes_of(W);
  if constexpr (bytes == count * bytes_of(W)) {
    return load_word<bytes>(at);
  } else {
    Word<count * bytes_of(W)> word;
#pragma unroll
    for (u32 i = 0; i < count * bytes_of(W) / 4; i += bytes / 4) {
      const Word<bytes> piece = load_word<bytes>(at + 4 * i);
#pragma unroll
      for (u32 n = 0; n < bytes / 4; ++n) word.bits[i + n] = piece.bits[n];
    }
    return word;
  }
}

}  // namespace ropejit
