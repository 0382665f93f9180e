// Cosines and sines that the caller holds, in the forms that runtimes keep them in (AngleSource in config.cuh). Row p
// of a table belongs to position p; a table gathered for the tokens beforehand has positions 0, 1, 2, ...
#pragma once

#include "launch_params.cuh"
#include "pairs.cuh"

namespace ropejit {

// Width of one access to `count` table elements that lie together; the universal entry takes them one by one.
template <KernelConfig C>
__device__ constexpr u32 table_access(u32 count) {
  const u32 bytes = C.strides == Strides::any ? C.table_element_bytes() : count * C.table_element_bytes();
  return bytes < 16 ? bytes : 16;
}

template <KernelConfig C, u32 count>
__device__ __forceinline__ void load_table(const char* at, float (&value)[count]) {
  constexpr u32 bytes = table_access<C>(count);
  constexpr u32 lanes = bytes / C.table_element_bytes();
#pragma unroll
  for (u32 i = 0; i < count; i += lanes) {
    unpack<C.table_element>(load_word<bytes>(at + i * C.table_element_bytes()), value, i);
  }
}

// Bits [offset, offset + 64) after the binary point of 1 / (2 pi); offset from -63 to 127.
__device__ __forceinline__ u64 bits_of_inverse_turn(i32 offset) {
  constexpr u32 digits[7] = {0x28be60dbu, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u, 0x4f10e410u, 0x7f9458eau};
  if (offset < 0) return ((static_cast<u64>(digits[0]) << 32) | digits[1]) >> -offset;
  u32 first = digits[0];
  u32 second = digits[1];
  u32 third = digits[2];
  const u32 word = static_cast<u32>(offset) / 32;
#pragma unroll
  for (u32 i = 1; i < 5; ++i) {
    if (word == i) {
      first = digits[i];
      second = digits[i + 1];
      third = digits[i + 2];
    }
  }
  const u32 shift = static_cast<u32>(offset) % 32;
  const u64 high = (static_cast<u64>(first) << 32) | second;
  return shift == 0 ? high : (high << shift) | (third >> (32 - shift));
}

// An angle in radians as a phase in units of 2^-32 turns, exact to one unit for any finite fp32 (after Payne and
// Hanek, 1983): the angle is m 2^(s-32) with m of 24 bits, so only the bits of m / (2 pi) that weigh between one turn
// and 2^-32 of it are worked out.
__device__ __forceinline__ CosSin cos_sin_of_radians(float angle) {
  const u32 bits = bits_of(angle);
  const u32 exponent = (bits >> 23) & 0xffu;
  if (exponent == 0xffu) return {float_from_bits(0x7fffffffu), float_from_bits(0x7fffffffu)};
  const i32 offset = static_cast<i32>(exponent) - 150;
  if (offset <= -64) return {1.0f, angle};  // below 2^-40: the sine is the angle to the last bit
  const u64 mantissa = (bits & 0x7fffffu) | 0x800000u;
  const u32 phase = static_cast<u32>((mantissa * bits_of_inverse_turn(offset)) >> 32);
  return cos_sin_of(bits >> 31 ? 0u - phase : phase);
}

template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void table_turns(const LaunchParams& params, u32 sequence, i64 position, u32 first,
                                            CosSin (&turn)[pairs]) {
  if (position < 0 || position >= params.table_rows) {
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = {float_from_bits(0x7fffffffu), float_from_bits(0x7fffffffu)};
    return;
  }
  constexpr u32 bytes = C.table_element_bytes();
  const i64 row = (sequence * params.table_batch_stride + position * params.table_row_stride) * bytes;
  const char* cos = static_cast<const char*>(params.table_cos) + row;
  const char* sin = static_cast<const char*>(params.table_sin) + row;
  if constexpr (C.angles == AngleSource::complex) {
    float both[2 * pairs];
    load_table<C>(cos + 2 * first * bytes, both);
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = planned<C>({both[2 * i], both[2 * i + 1]});
  } else if constexpr (C.angles == AngleSource::repeated) {
    float cosines[2 * pairs];
    float sines[2 * pairs];
    load_table<C>(cos + 2 * first * bytes, cosines);
    load_table<C>(sin + 2 * first * bytes, sines);
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = planned<C>({cosines[2 * i], sines[2 * i]});
  } else if constexpr (C.angles == AngleSource::radians) {
    float angles[pairs];
    load_table<C>(cos + first * bytes, angles);
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = planned<C>(cos_sin_of_radians(angles[i]));
  } else {
    float cosines[pairs];
    float sines[pairs];
    load_table<C>(cos + first * bytes, cosines);
    load_table<C>(sin + first * bytes, sines);
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = planned<C>({cosines[i], sines[i]});
  }
}

}  // namespace ropejit
