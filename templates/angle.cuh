// Exact angles. A step is a pair's turns per position as a fraction of 2^64, so position * step in wrapping integer
// arithmetic is the phase mod one turn, exact for any integer position; what remains is the sine of a reduced angle.
#pragma once

#include "primitives.cuh"

namespace ropejit {

struct CosSin {
  float cos;
  float sin;
};

// The top 32 bits of position * step mod 2^64: turns in units of 2^-32. The bits cut off are 1.5e-9 radians at most.
__device__ __forceinline__ u32 phase_of(i64 position, u64 step) {
  const u32 position_low = static_cast<u32>(position);
  const u32 position_high = static_cast<u32>(static_cast<u64>(position) >> 32);
  const u32 step_low = static_cast<u32>(step);
  const u32 step_high = static_cast<u32>(step >> 32);
  return multiply_high(position_low, step_low) + position_low * step_high + position_high * step_low;
}

// Cosine and sine of a phase. The quadrant is taken off in integers, which leaves a signed eighth of a turn; there
// sin x = x + x^3 S(x^2) and cos x = 1 + x^2 C(x^2), S and C minimax over [0, pi/4] (Lawson's iteration, then rounded
// to fp32; 2.3e-9 and 3.8e-8 from the functions). With fp32 rounding both are within 1.5e-7, on every target the same
// bits.
__device__ __forceinline__ CosSin cos_sin_of(u32 phase) {
  const u32 quadrant = (phase + 0x20000000u) >> 30;
  const i32 remainder = static_cast<i32>(phase - (quadrant << 30));
  const float x = multiply(float_from_int(remainder), 0x1.921fb6p-30f);  // 2 pi / 2^32
  const float z = multiply(x, x);
  float s = multiply_add(z, -0x1.98da66p-13f, 0x1.1105b4p-7f);
  s = multiply_add(z, s, -0x1.555540p-3f);
  const float sine = multiply_add(multiply(x, z), s, x);
  float c = multiply_add(z, -0x1.647572p-10f, 0x1.553f94p-5f);
  c = multiply_add(z, c, -0x1.ffffbap-2f);
  const float cosine = multiply_add(z, c, 1.0f);
  const bool swap = quadrant & 1u;
  CosSin turn;
  turn.cos = swap ? sine : cosine;
  turn.sin = swap ? cosine : sine;
  if ((quadrant + 1u) & 2u) turn.cos = -turn.cos;
  if (quadrant & 2u) turn.sin = -turn.sin;
  return turn;
}

// What the plan does to every cosine and sine.
template <KernelConfig C>
__device__ __forceinline__ CosSin planned(CosSin turn) {
  if constexpr (C.negate_sin) turn.sin = -turn.sin;
  if constexpr (C.scaled) {
    turn.cos = multiply(turn.cos, C.attention_scale);
    turn.sin = multiply(turn.sin, C.attention_scale);
  }
  return turn;
}

// Cosines and sines of the pairs first .. first + pairs - 1, from their steps.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void computed_turns(i64 position, const u64* steps, u32 first, CosSin (&turn)[pairs]) {
  if constexpr (pairs % 2 == 0) {
#pragma unroll
    for (u32 i = 0; i < pairs; i += 2) {
      u64 step;
      u64 next;
      load_readonly_pair(steps + first + i, step, next);
      turn[i] = planned<C>(cos_sin_of(phase_of(position, step)));
      turn[i + 1] = planned<C>(cos_sin_of(phase_of(position, next)));
    }
  } else {
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) {
      turn[i] = planned<C>(cos_sin_of(phase_of(position, load_readonly(steps + first + i))));
    }
  }
}

// Position of token `place` of sequence `sequence`.
template <KernelConfig C, class Params>
__device__ __forceinline__ i64 position_of(const Params& params, u32 sequence, u32 place) {
  if constexpr (C.positions == PositionSource::start) {
    return params.first_position + place;
  } else if constexpr (C.positions == PositionSource::offsets32) {
    return load_position32(params.position_ids, sequence * params.position_batch_stride) + place;
  } else if constexpr (C.positions == PositionSource::offsets64) {
    return load_position64(params.position_ids, sequence * params.position_batch_stride) + place;
  } else if constexpr (C.positions == PositionSource::ragged) {
    // The last sequence that begins at or before this token. Whatever cu_seqlens holds, only its elements are read.
    u32 low = 0;
    u32 high = params.ragged_sequences;
    i64 first = load_position32(params.cu_seqlens, 0);
    while (high - low > 1) {
      const u32 middle = low + (high - low) / 2;
      const i64 begin = load_position32(params.cu_seqlens, middle);
      if (begin <= place) {
        low = middle;
        first = begin;
      } else {
        high = middle;
      }
    }
    const i64 offset = params.position_ids == nullptr ? 0 : load_position32(params.position_ids, low);
    return place - first + offset;
  } else {
    const i64 index = sequence * params.position_batch_stride + place * params.position_token_stride;
    return C.positions == PositionSource::ids32 ? load_position32(params.position_ids, index)
                                                : load_position64(params.position_ids, index);
  }
}

}  // namespace ropejit
