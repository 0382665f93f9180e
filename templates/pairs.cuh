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

// Stores lanes first .. first + count - 1 as elements that lie together.
template <Element E, u32 count, u32 word_bytes, u32 lanes>
__device__ __forceinline__ void store_lanes(char* at, const float (&lane)[lanes], u32 first) {
  constexpr u32 bytes = access_of(count, bytes_of(E), word_bytes);
  constexpr u32 step = bytes / bytes_of(E);
#pragma unroll
  for (u32 i = 0; i < count; i += step) store_word(at + i * bytes_of(E), pack<E, bytes>(lane, first + i));
}

// Where the members of pair i of `pairs` stand among the lanes that a thread holds.
__device__ __forceinline__ u32 first_member(Layout layout, u32 i) { return layout == Layout::interleaved ? 2 * i : i; }
__device__ __forceinline__ u32 second_member(Layout layout, u32 i, u32 pairs) {
  return layout == Layout::interleaved ? 2 * i + 1 : i + pairs;
}

// Turns one pair. The order of operations is fixed here, and with it the bits of every variant; for p1 to p3 it is that
// of x * cos + rotated(x) * sin evaluated step by step, as frameworks do.
template <KernelConfig C>
__device__ __forceinline__ void turn_pair(float x, float y, CosSin turn, float& first, float& second) {
  if constexpr (C.rounding == Rounding::exact) {
    first = multiply_add(x, turn.cos, -multiply(y, turn.sin));
    second = multiply_add(y, turn.cos, multiply(x, turn.sin));
  } else if constexpr (C.rounding == Rounding::p1) {
    constexpr Element E = C.element;
    first = rounded_to<E>(add(rounded_to<E>(multiply(x, turn.cos)), rounded_to<E>(-multiply(y, turn.sin))));
    second = rounded_to<E>(add(rounded_to<E>(multiply(y, turn.cos)), rounded_to<E>(multiply(x, turn.sin))));
  } else {
    first = add(multiply(x, turn.cos), -multiply(y, turn.sin));
    second = add(multiply(y, turn.cos), multiply(x, turn.sin));
  }
}

// Turns the pairs among a thread's lanes: `read` in the order in which lanes are read, `written` in that in which they
// are written. Padded tokens come out as the plan says.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void rotate(const float (&read)[2 * pairs], const CosSin (&turn)[pairs], bool padded,
                                       float (&written)[2 * pairs]) {
  for (u32 i = 0; i < pairs; ++i) {
    const float x = read[first_member(C.layout, i)];
    const float y = read[second_member(C.layout, i, pairs)];
    float first;
    float second;
    turn_pair<C>(x, y, turn[i], first, second);
    if constexpr (C.padding != Padding::rotate) {
      if (padded) first = C.padding == Padding::zero ? 0.0f : x;
      if (padded) second = C.padding == Padding::zero ? 0.0f : y;
    }
    written[first_member(C.layout_out, i)] = first;
    written[second_member(C.layout_out, i, pairs)] = second;
  }
}

}  // namespace ropejit
