// The stages of an operand's list but for the rotation: what is done to lanes of one head between load and store.
#pragma once

#include "norm.cuh"
#include "operand_params.cuh"
#include "temperature.cuh"

namespace ropejit {

// Which lanes of a head a thread has in an array: words of neighbouring lanes, so many lanes apart.
struct LaneWords {
  u32 first;
  u32 between;
};

// What the stages read beside the lanes, for one head of one token.
struct StageInput {
  u32 head;
  float r;  // the norm's statistic
  float mean;
  float tau;  // the temperature's factor
};

// Adds the biases of the lanes.
template <KernelConfig C, u32 O, u32 word_lanes, u32 lanes>
__device__ __forceinline__ void add_bias(const LaunchParams& params, LaneWords words, u32 head, float (&lane)[lanes]) {
  constexpr OperandConfig shape = C.operand[O];
  float bias[lanes];
#pragma unroll
  for (u32 i = 0; i < lanes; i += word_lanes) {
    unpack<C.element>(
        load_numbers<C.element, word_lanes, C.access_bytes>(
            numbers_of<O>(params).bias, head * shape.head_dim + words.first + i / word_lanes * words.between),
        bias, i);
  }
#pragma unroll
  for (u32 i = 0; i < lanes; ++i) {
    lane[i] = add(lane[i], bias[i]);
    if constexpr (shape.round_bias) lane[i] = rounded_to<C.element>(lane[i]);
  }
}

// Multiplies the lanes by one factor, of a constant or of the head.
template <KernelConfig C, u32 O, u32 lanes>
__device__ __forceinline__ void scale_lanes(float factor, float (&lane)[lanes]) {
#pragma unroll
  for (u32 i = 0; i < lanes; ++i) {
    lane[i] = multiply(lane[i], factor);
    if constexpr (C.operand[O].round_scale) lane[i] = rounded_to<C.element>(lane[i]);
  }
}

// Whether a lane is of those that are normed.
template <KernelConfig C, u32 O>
__device__ __forceinline__ bool is_normed_lane(u32 lane) {
  constexpr OperandConfig shape = C.operand[O];
  if constexpr (shape.normed_lanes() == shape.head_dim) return true;
  return lane >= shape.norm.first_lane && lane - shape.norm.first_lane < shape.normed_lanes();
}

// Norms the lanes, whose weights are given.
template <KernelConfig C, u32 O, u32 word_lanes, u32 lanes>
__device__ __forceinline__ void norm_lanes(const LaunchParams& params, LaneWords words, const StageInput& input,
                                           const float (&weight)[lanes], float (&lane)[lanes]) {
  constexpr OperandConfig shape = C.operand[O];
  constexpr NormConfig norm = shape.norm;
#pragma unroll
  for (u32 i = 0; i < lanes; i += word_lanes) {
    const u32 first = words.first + i / word_lanes * words.between;
    // Words are in the range or out of it as a whole.
    if (!is_normed_lane<C, O>(first)) continue;
    float bias[word_lanes];
    if constexpr (norm.has_bias) {
      unpack<norm.weight>(load_numbers<norm.weight, word_lanes, C.access_bytes>(
                              numbers_of<O>(params).norm_bias,
                              (norm.weights == NormWeight::heads ? input.head * shape.head_dim : 0) + first),
                          bias, 0);
    }
#pragma unroll
    for (u32 n = 0; n < word_lanes; ++n) {
      lane[i + n] = normed(
          norm, [](float value) { return rounded_to<C.element>(value); }, lane[i + n], input.r, input.mean,
          weight[i + n], norm.has_bias ? bias[n] : 0.0f);
    }
  }
}

// Runs the stages of places [from, to) on lanes of one head, in words of `word_lanes`; none of them is the rotation.
// `weight` is read where the norm is among them.
template <KernelConfig C, u32 O, u32 from, u32 to, u32 word_lanes, u32 lanes>
__device__ __forceinline__ void run_stages(const LaunchParams& params, LaneWords words, const StageInput& input,
                                           const float (&weight)[lanes], float (&lane)[lanes]) {
  if constexpr (from < to) {
    constexpr Stage stage = C.operand[O].stages[from];
    if constexpr (stage == Stage::bias) add_bias<C, O, word_lanes>(params, words, input.head, lane);
    if constexpr (stage == Stage::norm) norm_lanes<C, O, word_lanes>(params, words, input, weight, lane);
    if constexpr (stage == Stage::clamp) {
      const float most = numbers_of<O>(params).clamp;
#pragma unroll
      for (u32 i = 0; i < lanes; ++i) lane[i] = clamped(lane[i], most);
    }
    if constexpr (stage == Stage::scale) scale_lanes<C, O>(numbers_of<O>(params).scale, lane);
    if constexpr (stage == Stage::head_scale) {
      scale_lanes<C, O>(float_from_bits(load_word<4>(numbers_of<O>(params).head_scales + input.head).bits[0]), lane);
    }
    if constexpr (stage == Stage::temperature) {
#pragma unroll
      for (u32 i = 0; i < lanes; ++i) lane[i] = multiply(lane[i], input.tau);
    }
    run_stages<C, O, from + 1, to, word_lanes>(params, words, input, weight, lane);
  }
}

// The temperature's factor of a token at `position`; nothing without one.
template <KernelConfig C, u32 O>
__device__ __forceinline__ float tau_of(const LaunchParams& params, i64 position) {
  if constexpr (C.operand[O].has(Stage::temperature)) {
    const StageNumbers& numbers = numbers_of<O>(params);
    return tau_at(C.operand[O].temperature, position, numbers.tau_length, numbers.tau_coefficient,
                  [](float tau) { return rounded_to<C.element>(tau); });
  } else {
    return 0.0f;
  }
}

}  // namespace ropejit
