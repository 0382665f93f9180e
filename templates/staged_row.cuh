// What a thread holds of a row in registers: its lanes, their weights and their turns; and the stages over them.
#pragma once

#include "staged_cut.cuh"

namespace ropejit {

// Words that do not rotate, of each head of a thread.
template <KernelConfig C, u32 O>
using StillWords =
    Word<StagedCut<C, O>::still_lanes * C.element_bytes()>[StagedCut<C, O>::heads][StagedCut<C, O>::still_rounds > 0
                                                                                       ? StagedCut<C, O>::still_rounds
                                                                                       : 1];

// Neighbouring weights as they lie in memory.
template <KernelConfig C, u32 O, u32 lanes>
using WeightWord = Word<lanes * bytes_of(C.operand[O].norm.weight)>;

// The weights of a thread's lanes: those that all heads share as numbers, those of each head as they were read, which
// takes half the registers.
template <KernelConfig C, u32 O, bool of_heads>
struct HeldWeights {
  using Cut = StagedCut<C, O>;
  float rotating[Cut::rounds][Cut::chunk_lanes];
  float still[Cut::still_rounds > 0 ? Cut::still_rounds : 1][Cut::still_lanes];
};
template <KernelConfig C, u32 O>
struct HeldWeights<C, O, true> {
  using Cut = StagedCut<C, O>;
  WeightWord<C, O, Cut::norm_word_lanes> rotating[Cut::heads][Cut::rounds][Cut::norm_words];
  WeightWord<C, O, Cut::still_lanes> still[Cut::heads][Cut::still_rounds > 0 ? Cut::still_rounds : 1];
};

// What a thread holds of a token.
template <KernelConfig C, u32 O>
struct StagedRow {
  using Cut = StagedCut<C, O>;
  u32 thread;  // of its segment
  u32 group;   // of heads
  RowsOf<C, O> rows;
  HeldWords<C, O> word[Cut::rounds];
  StillWords<C, O> still;
  HeldWeights<C, O, Cut::weighs_heads> weights;
  CosSin turn[Cut::rounds][Cut::pairs];
  float tau;
};

template <KernelConfig C, u32 O>
__device__ __forceinline__ void load_lanes(const LaunchParams& params, StagedRow<C, O>& row) {
  using Cut = StagedCut<C, O>;
  for_each_chunk<C, O>(row.thread, [&](u32 i, u32 chunk) {
    load_share<C, O>(share_of<C, O>(params, row.rows, row.group, chunk), row.word[i]);
  });
  for_each_still_word<C, O>(row.thread, [&](u32 i, u32 lane) {
#pragma unroll
    for (u32 h = 0; h < Cut::heads; ++h) {
      if (has_head<C, O>(row.group, h)) {
        row.still[h][i] = load_word<Cut::still_lanes * C.element_bytes()>(
            in_at<C, O>(params, row.rows, head_of<C, O>(row.group, h), lane));
      }
    }
  });
}

template <KernelConfig C, u32 O>
__device__ __forceinline__ void load_weights(const LaunchParams& params, StagedRow<C, O>& row) {
  using Cut = StagedCut<C, O>;
  if constexpr (Cut::has_weights) {
    constexpr Element W = C.operand[O].norm.weight;
    const void* const from = lines_of<O>(params).weight;
    const auto lane_of_word = [](u32 chunk, u32 w) {
      return first_lane_of<C, O>(Cut::norm_layout(), chunk) +
             w * lanes_between_words<C>(Cut::norm_layout(), Cut::norm_word_lanes);
    };
    if constexpr (Cut::weighs_heads) {
#pragma unroll
      for (u32 h = 0; h < Cut::heads; ++h) {
        if (!has_head<C, O>(row.group, h)) continue;
        const u32 of_head = head_of<C, O>(row.group, h) * Cut::head_dim;
        for_each_chunk<C, O>(row.thread, [&](u32 i, u32 chunk) {
#pragma unroll
          for (u32 w = 0; w < Cut::norm_words; ++w) {
            row.weights.rotating[h][i][w] =
                load_numbers<W, Cut::norm_word_lanes, C.access_bytes>(from, of_head + lane_of_word(chunk, w));
          }
        });
        for_each_still_word<C, O>(row.thread, [&](u32 i, u32 lane) {
          row.weights.still[h][i] = load_numbers<W, Cut::still_lanes, C.access_bytes>(from, of_head + lane);
        });
      }
    } else {
      for_each_chunk<C, O>(row.thread, [&](u32 i, u32 chunk) {
#pragma unroll
        for (u32 w = 0; w < Cut::norm_words; ++w) {
          unpack<W>(load_numbers<W, Cut::norm_word_lanes, C.access_bytes>(from, lane_of_word(chunk, w)),
                    row.weights.rotating[i], w * Cut::norm_word_lanes);
        }
      });
      for_each_still_word<C, O>(row.thread, [&](u32 i, u32 lane) {
        unpack<W>(load_numbers<W, Cut::still_lanes, C.access_bytes>(from, lane), row.weights.still[i], 0);
      });
    }
  }
}

// The weights of a chunk of head h, in the order of its lanes; nothing without weights.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void weights_of_chunk(const StagedRow<C, O>& row, u32 h, u32 i,
                                                 float (&weight)[StagedCut<C, O>::chunk_lanes]) {
  using Cut = StagedCut<C, O>;
  if constexpr (Cut::weighs_heads) {
#pragma unroll
    for (u32 w = 0; w < Cut::norm_words; ++w) {
      unpack<C.operand[O].norm.weight>(row.weights.rotating[h][i][w], weight, w * Cut::norm_word_lanes);
    }
  } else if constexpr (Cut::has_weights) {
#pragma unroll
    for (u32 n = 0; n < Cut::chunk_lanes; ++n) weight[n] = row.weights.rotating[i][n];
  }
}

// The same of a word that does not rotate.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void weights_of_still(const StagedRow<C, O>& row, u32 h, u32 i,
                                                 float (&weight)[StagedCut<C, O>::still_lanes]) {
  using Cut = StagedCut<C, O>;
  if constexpr (Cut::weighs_heads) {
    unpack<C.operand[O].norm.weight>(row.weights.still[h][i], weight, 0);
  } else if constexpr (Cut::has_weights) {
#pragma unroll
    for (u32 n = 0; n < Cut::still_lanes; ++n) weight[n] = row.weights.still[i][n];
  }
}

// Runs the stages of places [0, end) on a chunk's lanes: from `read`, in the order in which they were read, to
// `written`, which is in the order in which they are written where the rotation was among the stages.
template <KernelConfig C, u32 O, u32 end, u32 pairs>
__device__ __forceinline__ void run_chunk(const LaunchParams& params, const StageInput& input, u32 chunk,
                                          const CosSin (&turn)[pairs], const float (&weight)[2 * pairs],
                                          float (&read)[2 * pairs], float (&written)[2 * pairs]) {
  using Cut = StagedCut<C, O>;
  constexpr RowSplit row = C.split(O);
  constexpr u32 before = end < Cut::turning ? end : Cut::turning;
  run_stages<C, O, 0, before, row.word_lanes>(
      params, {first_lane_of<C, O>(C.layout, chunk), lanes_between_words<C>(C.layout, row.word_lanes)}, input, weight,
      read);
  if constexpr (end <= Cut::turning) {
#pragma unroll
    for (u32 i = 0; i < 2 * pairs; ++i) written[i] = read[i];
  } else {
    rotate<C>(read, turn, false, written);
    if constexpr (C.operand[O].round_rotation) {
#pragma unroll
      for (u32 i = 0; i < 2 * pairs; ++i) written[i] = rounded_to<C.element>(written[i]);
    }
    run_stages<C, O, Cut::turning + 1, end, row.out_word_lanes>(
        params, {first_lane_of<C, O>(C.layout_out, chunk), lanes_between_words<C>(C.layout_out, row.out_word_lanes)},
        input, weight, written);
  }
}

// The same of neighbouring lanes that do not rotate.
template <KernelConfig C, u32 O, u32 end, u32 lanes>
__device__ __forceinline__ void run_still(const LaunchParams& params, const StageInput& input, u32 first,
                                          const float (&weight)[lanes], float (&lane)[lanes]) {
  using Cut = StagedCut<C, O>;
  constexpr u32 before = end < Cut::turning ? end : Cut::turning;
  run_stages<C, O, 0, before, lanes>(params, {first, 0}, input, weight, lane);
  if constexpr (end > Cut::turning) {
    run_stages<C, O, Cut::turning + 1, end, lanes>(params, {first, 0}, input, weight, lane);
  }
}

}  // namespace ropejit
