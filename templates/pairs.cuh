// The rotation itself, on words of packed elements.
#pragma once

#include "angle.cuh"

namespace ropejit {

template <Element E, u32 bytes, u32 lanes>
__device__ __forceinline__ void unpack(const Word<bytes>& word, float (&lane)[lanes], u32 first) {
  if constexpr (E == Element::fp32) {
    for (u32 i = 0; i < bytes / 4; ++i) lane[first + i] = float_from_bits(word.bits[i]);
  } else {
    for (u32 i = 0; i < bytes / 2; ++i) {
      const u32 bits = word.bits[i / 2];
      if constexpr (E == Element::bf16) {
        lane[first + i] = float_from_bits(i % 2 ? bits & 0xffff0000u : bits << 16);
      } else {
        lane[first + i] = float_from_fp16(i % 2 ? bits >> 16 : bits & 0xffffu);
      }
    }
  }
}

__device__ __forceinline__ u32 bits_of(float value) { return __builtin_bit_cast(u32, value); }

template <Element E, u32 bytes, u32 lanes>
__device__ __forceinline__ Word<bytes> pack(const float (&lane)[lanes], u32 first) {
  Word<bytes> word;
  if constexpr (E == Element::fp32) {
    for (u32 i = 0; i < bytes / 4; ++i) word.bits[i] = bits_of(lane[first + i]);
  } else {
    for (u32 i = 0; i < (bytes + 2) / 4; ++i) {
      const float low = lane[first + 2 * i];
      const float high = bytes == 2 ? 0.0f : lane[first + 2 * i + (bytes == 2 ? 0 : 1)];
      word.bits[i] = E == Element::bf16 ? pack_bf16(low, high) : pack_fp16(low, high);
    }
  }
  return word;
}

// Turns the pairs held in `words`: for split_half word 0 has the first members and word 1 the second ones, for
// interleaved they alternate. The order of operations is fixed here, and with it the bits of every variant.
template <KernelConfig C, u32 words_per_thread, u32 pairs>
__device__ __forceinline__ void rotate(Word<C.access_bytes> (&words)[words_per_thread], const CosSin (&turn)[pairs]) {
  constexpr u32 word_lanes = C.access_bytes / C.element_bytes();
  float lane[2 * pairs];
  for (u32 w = 0; w < words_per_thread; ++w) unpack<C.element>(words[w], lane, w * word_lanes);
  for (u32 i = 0; i < pairs; ++i) {
    const u32 a = C.layout == Layout::split_half ? i : 2 * i;
    const u32 b = C.layout == Layout::split_half ? i + pairs : 2 * i + 1;
    const float x = lane[a];
    const float y = lane[b];
    lane[a] = multiply_add(x, turn[i].cos, -multiply(y, turn[i].sin));
    lane[b] = multiply_add(y, turn[i].cos, multiply(x, turn[i].sin));
  }
  for (u32 w = 0; w < words_per_thread; ++w) words[w] = pack<C.element, C.access_bytes>(lane, w * word_lanes);
}

}  // namespace ropejit
