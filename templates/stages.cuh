// The stages of an operand's list, in order: what is done to lanes between load and store. A list that is empty costs
// nothing.
#pragma once

#include "pairs.cuh"

namespace ropejit {

// One lane after a stage that leaves lanes where they are, as every stage but the rotation does.
template <Element E>
__device__ __forceinline__ float after_stage(Stage stage, float lane) {
  (void)stage;
  return lane;
}

// The place of Stage::rotate in the operand's list; its end where the operand does not rotate.
template <KernelConfig C, u32 O>
__device__ constexpr u32 place_of_rotate() {
  for (u32 i = 0; i < MostStages; ++i) {
    if (C.operand[O].stages[i] == Stage::rotate) return i;
  }
  return MostStages;
}

// Runs the stages from `at` to before `end`, none of which is the rotation, on lanes of one head.
template <KernelConfig C, u32 O, u32 at, u32 end, u32 lanes>
__device__ __forceinline__ void run_still_stages(float (&lane)[lanes]) {
  if constexpr (at < end) {
    if constexpr (C.operand[O].stages[at] != Stage::none) {
      for (u32 i = 0; i < lanes; ++i) lane[i] = after_stage<C.element>(C.operand[O].stages[at], lane[i]);
    }
    run_still_stages<C, O, at + 1, end>(lane);
  }
}

// Runs all stages of lanes that rotate: those before the rotation see lanes in the order in which they are read, those
// after it in the order in which they are written.
template <KernelConfig C, u32 O, u32 pairs>
__device__ __forceinline__ void run_stages(float (&read)[2 * pairs], const CosSin (&turn)[pairs], bool padded,
                                           float (&written)[2 * pairs]) {
  constexpr u32 turning = place_of_rotate<C, O>();
  run_still_stages<C, O, 0, turning>(read);
  rotate<C>(read, turn, padded, written);
  run_still_stages<C, O, turning + 1, MostStages>(written);
}

// Runs all stages of lanes that do not rotate.
template <KernelConfig C, u32 O, u32 lanes>
__device__ __forceinline__ void run_stages_of_still_lanes(float (&lane)[lanes]) {
  constexpr u32 turning = place_of_rotate<C, O>();
  run_still_stages<C, O, 0, turning>(lane);
  run_still_stages<C, O, turning + 1, MostStages>(lane);
}

// Stores a word of lanes that do not rotate. A word that stays as it is is not unpacked: a NaN would lose its payload.
template <KernelConfig C, u32 O, u32 lanes>
__device__ __forceinline__ void store_still_lanes(char* at, const Word<lanes * C.element_bytes()>& word) {
  constexpr OperandConfig operand = C.operand[O];
  if constexpr (operand.element_out == C.element && !operand.changes_still_lanes()) {
    store_word(at, word);
  } else {
    float lane[lanes];
    unpack<C.element>(word, lane, 0);
    run_stages_of_still_lanes<C, O>(lane);
    store_lanes<operand.element_out, lanes, C.access_bytes>(at, lane, 0);
  }
}

}  // namespace ropejit
