// The factor of a token that grows with its position (Stage::temperature), of the same bits everywhere.
#pragma once

#include "config.cuh"
#include "primitives.cuh"

namespace ropejit {

// ln(x) of a finite x from 1 on, within 2e-7 times 1 + ln(x): with x = 2^e m and m from sqrt(1/2) to sqrt(2), e ln(2) +
// ln(m), where ln(m) = 2 artanh((m - 1) / (m + 1)) is a series of five terms, whose rest is below 1e-9.
__device__ __forceinline__ float natural_log(float x) {
  constexpr u32 root_of_half = 0x3f3504f3u;
  const i32 exponent = static_cast<i32>(bits_of(x) - root_of_half) >> 23;
  const float m = float_from_bits(bits_of(x) - (static_cast<u32>(exponent) << 23));
  const float z = divide(add(m, -1.0f), add(m, 1.0f));
  const float square = multiply(z, z);
  float series = multiply_add(square, 1.0f / 9, 1.0f / 7);
  series = multiply_add(square, series, 1.0f / 5);
  series = multiply_add(square, series, 1.0f / 3);
  series = multiply(square, series);
  const float twice = add(z, z);
  return multiply_add(float_from_int(exponent), 0.693147182f, multiply_add(twice, series, twice));
}

// 1 + coefficient * ln(max(1, g)): g = 1 + floor(n / N) in steps, or n / N, where n is the position, or one more.
// round(x) is x rounded to the class's element.
template <class Round>
__device__ __forceinline__ float tau_at(const TemperatureConfig& temperature, i64 position, const LongDivisor& length,
                                        float coefficient, const Round& round) {
  const i64 n = temperature.plus_one ? position + 1 : position;
  float growth = 1.0f;
  if (n >= length.divisor) {
    if (temperature.steps) {
      const u64 number = static_cast<u64>(n);
      const u64 whole = length.multiplier == 0 ? number : multiply_high(number, length.multiplier) >> length.shift;
      growth = float_from_long(static_cast<i64>(whole) + 1);
    } else {
      growth = divide(float_from_long(n), float_from_long(length.divisor));
    }
  }
  const float tau = multiply_add(coefficient, natural_log(growth), 1.0f);
  return temperature.round_tau ? round(tau) : tau;
}

}  // namespace ropejit
