// Cosine and sine of a reduced angle: of a phase, in units of 2^-32 turns, or of any fp32 number of radians.
#pragma once

#include "primitives.cuh"

namespace ropejit {

struct CosSin {
  float cos;
  float sin;
};

// The quadrant is taken off in integers (shifted out), which leaves a signed eighth of a turn; there sin x = x + x^3
// S(x^2) and cos x = 1 + x^2 C(x^2), S and C minimax over [0, pi/4] (Lawson's iteration, then rounded to fp32; 2.3e-9
// and 3.8e-8 from the functions). With fp32 rounding both are within 1.5e-7, on every target the same bits.
__device__ __forceinline__ CosSin polynomial_cos_sin(u32 phase) {
  const u32 turned = phase + 0x20000000u;  // its top two bits are the quadrant
  const float x = multiply(float_from_int(static_cast<i32>(phase << 2)), 0x1.921fb6p-32f);  // 2 pi / 2^34
  const float z = multiply(x, x);
  float s = multiply_add(z, -0x1.98da66p-13f, 0x1.1105b4p-7f);
  s = multiply_add(z, s, -0x1.555540p-3f);
  const float sine = multiply_add(multiply(x, z), s, x);
  float c = multiply_add(z, -0x1.647572p-10f, 0x1.553f94p-5f);
  c = multiply_add(z, c, -0x1.ffffbap-2f);
  const float cosine = multiply_add(z, c, 1.0f);
  const bool swap = static_cast<i32>(2 * phase + 0x40000000u) < 0;  // the quadrant's lower bit
  const u32 cos_sign = (turned + 0x40000000u) & 0x80000000u;
  const u32 sin_sign = turned & 0x80000000u;
  return {float_from_bits(bits_of(swap ? sine : cosine) ^ cos_sign),
          float_from_bits(bits_of(swap ? cosine : sine) ^ sin_sign)};
}

// As polynomial_cos_sin, but half a turn is taken off, which leaves a signed quarter: sine and cosine are not
// exchanged, and both have one sign. S and C are minimax over [0, pi/2], 4.7e-9 and 5.3e-8 from the functions; with the
// rounding of the angle, which is twice as large here, both are within 3e-7.
__device__ __forceinline__ CosSin polynomial16_cos_sin(u32 phase) {
  const u32 sign = (phase + 0x40000000u) & 0x80000000u;
  const float x = multiply(float_from_int(static_cast<i32>(phase << 1)), 0x1.921fb6p-31f);  // 2 pi / 2^33
  const float z = multiply(x, x);
  float s = multiply_add(z, 0x1.5cf932p-19f, -0x1.9f5ff4p-13f);
  s = multiply_add(z, s, 0x1.110e6ap-7f);
  s = multiply_add(z, s, -0x1.555548p-3f);
  const float sine = multiply_add(multiply(x, z), s, x);
  float c = multiply_add(z, 0x1.852320p-16f, -0x1.6b398ep-10f);
  c = multiply_add(z, c, 0x1.554fb8p-5f);
  c = multiply_add(z, c, -0x1.ffffd2p-2f);
  const float cosine = multiply_add(z, c, 1.0f);
  return {float_from_bits(bits_of(cosine) ^ sign), float_from_bits(bits_of(sine) ^ sign)};
}

// The hardware's sine is good to 4.3e-7 over one turn from -pi to pi, which is what a phase as a signed number is.
template <Sine S>
__device__ __forceinline__ CosSin cos_sin_of(u32 phase) {
  if constexpr (S == Sine::hardware && has_hardware_sine) {
    const float radians = multiply(float_from_int(static_cast<i32>(phase)), 0x1.921fb6p-30f);
    return {hardware_cos(radians), hardware_sin(radians)};
  } else if constexpr (S == Sine::polynomial16) {
    return polynomial16_cos_sin(phase);
  } else {
    return polynomial_cos_sin(phase);
  }
}

// Bits [offset, offset + 64) after the binary point of 1 / (2 pi), where offset is from -63 to 127.
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
template <Sine S>
__device__ __forceinline__ CosSin cos_sin_of_radians(float angle) {
  const u32 bits = bits_of(angle);
  const u32 exponent = (bits >> 23) & 0xffu;
  if (exponent == 0xffu) return {float_from_bits(0x7fffffffu), float_from_bits(0x7fffffffu)};
  const i32 offset = static_cast<i32>(exponent) - 150;
  if (offset <= -64) return {1.0f, angle};  // below 2^-40: the sine is the angle to the last bit
  const u64 mantissa = (bits & 0x7fffffu) | 0x800000u;
  const u32 phase = static_cast<u32>((mantissa * bits_of_inverse_turn(offset)) >> 32);
  return cos_sin_of<S>(bits >> 31 ? 0u - phase : phase);
}

}  // namespace ropejit
