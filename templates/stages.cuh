// What is done to lanes between load and store: the stages of an operand's list, in order. A list that is empty costs
// nothing.
#pragma once

#include "pairs.cuh"

namespace ropejit {

// The place of Stage::rotate in the operand's list.
template <KernelConfig C, u32 O>
__device__ constexpr u32 place_of_rotate() {
  for (u32 i = 0; i < MostStages; ++i) {
    if (C.operand[O].stages[i] == Stage::rotate) return i;
  }
  return MostStages;
}

// The stages from `at` to before `end`, which leave every lane where it is, on lanes of one head.
template <KernelConfig C, u32 O, u32 at, u32 end, u32 lanes>
__device__ __forceinline__ void run_still_stages(float (&lane)[lanes]) {
  if constexpr (at < end) {
    // A stage of its own stands here: if constexpr (C.operand[O].stages[at] == Stage::...) ...
    run_still_stages<C, O, at + 1, end>(lane);
  }
}

// All stages of an operand that rotates: those before the rotation see lanes in the order in which they are read, those
// after it in the order in which they are written.
template <KernelConfig C, u32 O, u32 pairs>
__device__ __forceinline__ void run_stages(float (&read)[2 * pairs], const CosSin (&turn)[pairs], bool padded,
                                           float (&written)[2 * pairs]) {
  constexpr u32 turning = place_of_rotate<C, O>();
  run_still_stages<C, O, 0, turning>(read);
  rotate<C>(read, turn, padded, written);
  run_still_stages<C, O, turning + 1, MostStages>(written);
}

}  // namespace ropejit
