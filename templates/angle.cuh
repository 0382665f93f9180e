// Computed angles, and what the plan does to every cosine and sine. A step is a pair's turns per position as a fraction
// of 2^64, so position * step in wrapping integer arithmetic is the phase mod one turn, exact for any integer position;
// what remains is the sine of a reduced angle.
#pragma once

#include "launch_params.cuh"
#include "sine.cuh"

namespace ropejit {

// The numbers of a plan, as opposed to its shape.
struct PlanData {
  const u64*
      steps;  // built into the kernel: one a pair; for AngleSource::product the bits of its fp32 inverse frequency
  const u8* pair_axes;  // for each pair, where tokens have several positions: which of them turns it
  float attention_scale;
};

// The steps of a launch: at an address from the first line of parameters rather than from a line of its own, wherever
// the host could tell it. Work it out after positions have been asked for: it stays where it is called.
__device__ __forceinline__ const u64* steps_of(const LaunchParams& params, const PlanData& data) {
  const u64* steps = params.steps;
  if (steps == nullptr) {
    stay_a_branch();
    steps = data.steps;
  }
  return steps;
}

// The top 32 bits of position * step mod 2^64: turns in units of 2^-32. The bits cut off are 1.5e-9 radians at most.
__device__ __forceinline__ u32 phase_of(i64 position, u64 step) {
  const u32 position_low = static_cast<u32>(position);
  const u32 position_high = static_cast<u32>(static_cast<u64>(position) >> 32);
  const u32 step_low = static_cast<u32>(step);
  const u32 step_high = static_cast<u32>(step >> 32);
  return multiply_high(position_low, step_low) + position_low * step_high + position_high * step_low;
}

template <Element E>
__device__ __forceinline__ float rounded_to(float value) {
  if constexpr (E == Element::bf16) return float_from_bits(pack_bf16(value, 0.0f) << 16);
  if constexpr (E == Element::fp16) return float_from_fp16(pack_fp16(value, 0.0f) & 0xffffu);
  return value;
}

// What the plan does to every cosine and sine.
template <KernelConfig C>
__device__ __forceinline__ CosSin planned(CosSin turn, float attention_scale) {
  if constexpr (C.negate_sin) turn.sin = -turn.sin;
  if constexpr (C.scaled) {
    turn.cos = multiply(turn.cos, attention_scale);
    turn.sin = multiply(turn.sin, attention_scale);
  }
  if constexpr (C.rounding == Rounding::p1 || C.rounding == Rounding::p2) {
    turn.cos = rounded_to<C.element>(turn.cos);
    turn.sin = rounded_to<C.element>(turn.sin);
  }
  return turn;
}

// The position that turns a pair.
template <KernelConfig C>
__device__ __forceinline__ i64 position_of_pair(const i64 (&position)[C.axes], const PlanData& data, u32 pair) {
  i64 chosen = position[0];
  if constexpr (C.axes > 1) {
    const u32 axis = load_readonly_byte(data.pair_axes + pair);
#pragma unroll
    for (u32 a = 1; a < C.axes; ++a) {
      if (axis == a) chosen = position[a];
    }
  }
  return chosen;
}

// A pair's cosine and sine from its position and step.
template <KernelConfig C>
__device__ __forceinline__ CosSin turn_of(i64 position, u64 step, float attention_scale) {
  if constexpr (C.angles == AngleSource::product) {
    const float inv_freq = float_from_bits(static_cast<u32>(step));
    return planned<C>(cos_sin_of_radians<C.sine>(multiply(float_from_long(position), inv_freq)), attention_scale);
  } else {
    return planned<C>(cos_sin_of<C.sine>(phase_of(position, step)), attention_scale);
  }
}

// The steps of the pairs first .. first + pairs - 1.
template <u32 pairs>
struct Steps {
  u64 step[pairs];
};

template <u32 pairs>
__device__ __forceinline__ Steps<pairs> load_steps(const LaunchParams& params, const PlanData& data, u32 first) {
  Steps<pairs> steps;
  const u64* const at = steps_of(params, data) + first;
  if constexpr (pairs % 2 == 0) {
#pragma unroll
    for (u32 i = 0; i < pairs; i += 2) load_readonly_pair(at + i, steps.step[i], steps.step[i + 1]);
  } else {
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) steps.step[i] = load_readonly(at + i);
  }
  return steps;
}

// The cosines and sines of the pairs first .. first + pairs - 1.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void computed_turns(const i64 (&position)[C.axes], const PlanData& data,
                                               const Steps<pairs>& steps, u32 first, CosSin (&turn)[pairs]) {
#pragma unroll
  for (u32 i = 0; i < pairs; ++i) {
    turn[i] = turn_of<C>(position_of_pair<C>(position, data, first + i), steps.step[i], data.attention_scale);
  }
}

}  // namespace ropejit
