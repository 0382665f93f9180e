// The lanes that each thread of a normed row adds up: those that it holds where they are the tree's (norm.cuh);
// elsewhere the threads of the row hand their lanes round in shared memory.
#pragma once

#include "staged_row.cuh"

namespace ropejit {

// Lanes that a thread adds up: neighbours of the first half of the row, and those half a row away; 0 where there are
// none.
template <KernelConfig C, u32 O>
struct AddedLanes {
  float low[StagedCut<C, O>::added_lanes];
  float high[StagedCut<C, O>::added_lanes];
};

// A chunk's lanes of head h as the norm sees them.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void lanes_before_norm(const LaunchParams& params, const StagedRow<C, O>& row, u32 h, u32 i,
                                                  u32 chunk, float (&lane)[StagedCut<C, O>::chunk_lanes]) {
  using Cut = StagedCut<C, O>;
  const StageInput input{head_of<C, O>(row.group, h), 0.0f, 0.0f, row.tau};
  const float no_weight[Cut::chunk_lanes]{};
  float read[Cut::chunk_lanes];
  for (u32 w = 0; w < C.split(O).words_per_thread; ++w) unpack<C.element>(row.word[i][h][w], read, w * Cut::word_lanes);
  run_chunk<C, O, Cut::norming, Cut::pairs>(params, input, chunk, row.turn[i], no_weight, read, lane);
}

// Of lanes that the thread holds. `centre` is called with each lane that exists.
template <KernelConfig C, u32 O, class Centre>
__device__ __forceinline__ void add_held_lanes(const LaunchParams& params, const StagedRow<C, O>& row, u32 h,
                                               const Centre& centre, AddedLanes<C, O>& added) {
  using Cut = StagedCut<C, O>;
  for_each_chunk<C, O>(row.thread, [&](u32 i, u32 chunk) {
    float lane[Cut::chunk_lanes];
    lanes_before_norm<C, O>(params, row, h, i, chunk, lane);
#pragma unroll
    for (u32 n = 0; n < Cut::pairs; ++n) {
      added.low[i * Cut::pairs + n] = centre(lane[n]);
      added.high[i * Cut::pairs + n] = centre(lane[Cut::pairs + n]);
    }
  });
}

// Bytes of the rows that a block's threads of operand O, or of one behind it, hand round.
template <KernelConfig C, u32 O>
__device__ constexpr u32 bytes_handed_round() {
  if constexpr (O >= C.operands) {
    return 0;
  } else if constexpr (StagedCut<C, O>::hands_round) {
    constexpr u32 own = C.threads() / StagedCut<C, O>::threads * StagedCut<C, O>::handed_bytes;
    return own > bytes_handed_round<C, O + 1>() ? own : bytes_handed_round<C, O + 1>();
  } else {
    return bytes_handed_round<C, O + 1>();
  }
}

// Memory for them: a block works on one operand, so all have the same.
template <KernelConfig C>
__device__ __forceinline__ char* rows_handed_round() {
  alignas(32) __shared__ char rows[bytes_handed_round<C, 0>()];
  return rows;
}

// Puts the words that a thread holds of head h where the others of its row find them, as they were read.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void hand_words(const StagedRow<C, O>& row, u32 h, char* to) {
  using Cut = StagedCut<C, O>;
  constexpr u32 bytes = C.element_bytes();
  for_each_chunk<C, O>(row.thread, [&](u32 i, u32 chunk) {
    const u32 first = first_lane_of<C, O>(C.layout, chunk);
#pragma unroll
    for (u32 w = 0; w < C.split(O).words_per_thread; ++w) {
      store_shared(to + (first + w * lanes_between_words<C>(C.layout, Cut::word_lanes)) * bytes, row.word[i][h][w]);
    }
  });
  for_each_still_word<C, O>(row.thread, [&](u32 i, u32 lane) { store_shared(to + lane * bytes, row.still[h][i]); });
}

// The same of lanes that have turned.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void hand_turned(const LaunchParams& params, const StagedRow<C, O>& row, u32 h, float* to) {
  using Cut = StagedCut<C, O>;
  constexpr RowSplit split = C.split(O);
  for_each_chunk<C, O>(row.thread, [&](u32 i, u32 chunk) {
    float lane[Cut::chunk_lanes];
    lanes_before_norm<C, O>(params, row, h, i, chunk, lane);
    const u32 first = first_lane_of<C, O>(C.layout_out, chunk);
    const u32 between = lanes_between_words<C>(C.layout_out, split.out_word_lanes);
#pragma unroll
    for (u32 n = 0; n < Cut::chunk_lanes; ++n) {
      to[first + n / split.out_word_lanes * between + n % split.out_word_lanes] = lane[n];
    }
  });
  for_each_still_word<C, O>(row.thread, [&](u32 i, u32 first) {
    float lane[Cut::still_lanes];
    unpack<C.element>(row.still[h][i], lane, 0);
    run_still<C, O, Cut::norming, Cut::still_lanes>(params, {head_of<C, O>(row.group, h), 0.0f, 0.0f, row.tau}, first,
                                                    lane, lane);
#pragma unroll
    for (u32 n = 0; n < Cut::still_lanes; ++n) to[first + n] = lane[n];
  });
}

// Of lanes that the threads of a row hand round. All threads of the warp call it at once.
template <KernelConfig C, u32 O, class Centre>
__device__ __forceinline__ void add_handed_lanes(const LaunchParams& params, const StagedRow<C, O>& row, u32 h,
                                                 bool has_row, const Centre& centre, AddedLanes<C, O>& added) {
  using Cut = StagedCut<C, O>;
  char* const own = rows_handed_round<C>() + threadIdx.x / Cut::threads * Cut::handed_bytes;
  if (has_row) {
    if constexpr (Cut::norms_turned) {
      hand_turned<C, O>(params, row, h, reinterpret_cast<float*>(own));
    } else {
      hand_words<C, O>(row, h, own);
    }
  }
  __syncwarp();
  const StageInput input{head_of<C, O>(row.group, h), 0.0f, 0.0f, row.tau};
  const auto take = [&](u32 lane, float(&to)[Cut::added_lanes], u32 at) {
    lane += C.operand[O].norm.first_lane;
    float word[Cut::added_word];
    if constexpr (Cut::norms_turned) {
#pragma unroll
      for (u32 n = 0; n < Cut::added_word; ++n) word[n] = reinterpret_cast<const float*>(own)[lane + n];
    } else {
      constexpr u32 bytes = Cut::added_word * C.element_bytes();
      unpack<C.element>(load_shared<bytes>(own + lane * C.element_bytes()), word, 0);
      run_still<C, O, Cut::norming, Cut::added_word>(params, input, lane, word, word);
    }
#pragma unroll
    for (u32 n = 0; n < Cut::added_word; ++n) to[at + n] = centre(word[n]);
  };
  if (has_row) {
#pragma unroll
    for (u32 i = 0; i < Cut::added_lanes; i += Cut::added_word) {
      const u32 lane = row.thread * Cut::added_lanes + i;
      if (lane >= Cut::half) continue;
      take(lane, added.low, i);
      if (Cut::half + lane < Cut::normed_lanes) take(Cut::half + lane, added.high, i);
    }
  }
  __syncwarp();  // before the next head's lanes are written over these
}

}  // namespace ropejit
