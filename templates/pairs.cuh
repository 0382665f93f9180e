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

// Where the members of pair i of `pairs` stand among the lanes that a thread holds.
__device__ __forceinline__ u32 first_member(Layout layout, u32 i) { return layout == Layout::split_half ? i : 2 * i; }
__device__ __forceinline__ u32 second_member(Layout layout, u32 i, u32 pairs) {
  return layout == Layout::split_half ? i + pairs : 2 * i + 1;
}

// Turns the pairs held in `in` and packs them as they are written. The order of operations is fixed here, and with it
// the bits of every variant.
template <KernelConfig C, u32 in_words, u32 in_bytes, u32 out_words, u32 out_bytes, u32 pairs>
__device__ __forceinline__ void rotate(const Word<in_bytes> (&in)[in_words], const CosSin (&turn)[pairs],
                                       Word<out_bytes> (&out)[out_words]) {
  float read[2 * pairs];
  float written[2 * pairs];
  for (u32 w = 0; w < in_words; ++w) unpack<C.element>(in[w], read, w * (in_bytes / C.element_bytes()));
  for (u32 i = 0; i < pairs; ++i) {
    const float x = read[first_member(C.layout, i)];
    const float y = read[second_member(C.layout, i, pairs)];
    written[first_member(C.layout_out, i)] = multiply_add(x, turn[i].cos, -multiply(y, turn[i].sin));
    written[second_member(C.layout_out, i, pairs)] = multiply_add(y, turn[i].cos, multiply(x, turn[i].sin));
  }
  for (u32 w = 0; w < out_words; ++w) out[w] = pack<C.element, out_bytes>(written, w * (out_bytes / C.element_bytes()));
}

}  // namespace ropejit
