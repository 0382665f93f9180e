// How the rows of an operand with stages beside the rotation are dealt to threads, and what a thread holds of them. The
// threads of a head group's rows are a segment of a warp (Cut::segments): each holds some of the row's lanes in
// registers, rotating ones and others.
#pragma once

#include "share.cuh"
#include "stages.cuh"

namespace ropejit {

// The lanes of the widest word in which `count` neighbouring lanes of each half of a row's normed lanes can be read.
template <KernelConfig C, u32 O>
__device__ constexpr u32 widest_word(u32 count) {
  constexpr OperandConfig shape = C.operand[O];
  const u32 all = shape.normed_lanes();
  u32 lanes = C.strides == Strides::any ? 1 : C.access_bytes / C.element_bytes();
  while (lanes > count || first_half_of(all) % lanes != 0 || all % lanes != 0 || shape.norm.first_lane % lanes != 0) {
    lanes /= 2;
  }
  return lanes;
}

// The largest power of two that divides `number` and is at most `most`, which is a power of two itself.
ROPEJIT_ANYWHERE constexpr u32 power_in(u32 number, u32 most) {
  u32 power = 1;
  while (power < most && number % (2 * power) == 0) power *= 2;
  return power;
}

// Enumerators: of constants the compiler would keep each as data in the binary, under a name with the whole
// configuration in it.
template <KernelConfig C, u32 O>
struct StagedCut {
  enum : bool { rotates = C.rotates(O), is_normed = C.is_normed(O) };
  enum : u32 {
    heads = C.split(O).heads_per_thread,
    threads = C.block(O).row_threads,
    rounds = C.block(O).rounds,  // chunks of a thread that rotate
    chunks = C.split(O).chunks,
    word_lanes = C.split(O).word_lanes,
    pairs = rotates ? C.split(O).pairs_per_thread : 1,  // of a chunk
    chunk_lanes = 2 * pairs,
    // Words that do not rotate, as all of a row's where it does not.
    still_words = rotates ? C.split(O).still_words : C.split(O).chunks,
    still_rounds = ceil_divide(still_words, threads),
    still_lanes = C.split(O).copy_lanes,
    head_dim = C.operand[O].head_dim,
    turning = C.operand[O].place_of(Stage::rotate),
    norming = C.operand[O].place_of(Stage::norm),
    normed_lanes = C.operand[O].normed_lanes(),
    half = first_half_of(normed_lanes),
    // Heads whose sums a segment shares out among its threads: the largest power of two in `heads`.
    heads_at_once = power_in(heads, threads),
    held_lanes = rounds * pairs,
  };
  enum : bool {
    has_weights = is_normed && C.operand[O].norm.weights != NormWeight::none && !C.operand[O].no_store,
    weighs_heads = has_weights && C.operand[O].norm.weights == NormWeight::heads,
    sums = is_normed && !C.operand[O].norm.is_given(),  // else the statistic is read
    norms_turned = is_normed && rotates && norming > turning,
  };
  // The lanes and words of a chunk as the norm sees them.
  enum : u32 {
    norm_words = norms_turned ? C.split(O).out_words_per_thread : C.split(O).words_per_thread,
    norm_word_lanes = norms_turned ? C.split(O).out_word_lanes : C.split(O).word_lanes,
  };
  static __device__ constexpr Layout norm_layout() { return norms_turned ? C.layout_out : C.layout; }
  enum : bool {
    // Whether the lanes that a thread rotates are neighbours in the first half of the row, and those half a row away.
    adds_what_it_holds = rotates && norm_layout() == Layout::split_half && C.rotary_dim == head_dim &&
                         normed_lanes == head_dim && 2 * half == head_dim && held_lanes >= 2,
    // Elsewhere threads hand each other the lanes that they add, as they were read or as they have turned.
    hands_round = sums && !adds_what_it_holds,
    // Whether threads write, in place, what others have yet to read.
    reads_others_lanes = C.operand[O].writes_over_itself() && C.layout != C.layout_out,
  };
  // So many neighbouring lanes of each half, in words as wide as those; and the bytes of a row that is handed round.
  enum : u32 {
    added_lanes = adds_what_it_holds ? held_lanes : power_from(half < 2 * threads ? 2 : ceil_divide(half, threads)),
    added_word = adds_what_it_holds ? 1 : widest_word<C, O>(added_lanes),
    handed_bytes = ceil_divide(head_dim * (norms_turned ? 4 : C.element_bytes()), 32) * 32,
  };
};

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
__device__ __forceinline__ bool has_head(u32 group, u32 h) {
  constexpr RowSplit row = C.split(O);
  if constexpr (C.operand[O].heads % row.heads_per_thread == 0) return true;
  return group + h * row.groups < C.operand[O].heads;
}

// The number of head h of a thread's group.
template <KernelConfig C, u32 O>
__device__ __forceinline__ u32 head_of(u32 group, u32 h) {
  return group + h * C.split(O).groups;
}

// Calls visit(i, chunk) for the chunks that a thread rotates: neighbours.
template <KernelConfig C, u32 O, class Visit>
__device__ __forceinline__ void for_each_chunk(u32 thread, const Visit& visit) {
  using Cut = StagedCut<C, O>;
  if constexpr (Cut::rotates) {
#pragma unroll
    for (u32 i = 0; i < Cut::rounds; ++i) {
      const u32 chunk = thread * Cut::rounds + i;
      if (Cut::threads * Cut::rounds == Cut::chunks || chunk < Cut::chunks) visit(i, chunk);
    }
  }
}

// Calls visit(i, lane) for the words that do not rotate, by their first lanes: neighbours are neighbouring threads'.
template <KernelConfig C, u32 O, class Visit>
__device__ __forceinline__ void for_each_still_word(u32 thread, const Visit& visit) {
  using Cut = StagedCut<C, O>;
  if constexpr (Cut::still_rounds > 0) {
#pragma unroll
    for (u32 i = 0; i < Cut::still_rounds; ++i) {
      const u32 n = i * Cut::threads + thread;
      if (Cut::still_rounds * Cut::threads == Cut::still_words || n < Cut::still_words) {
        visit(i, Cut::rotates ? still_lane<C, O>(n) : n * Cut::still_lanes);
      }
    }
  }
}

// Where a lane of a head is read, and where it is written.
template <KernelConfig C, u32 O>
__device__ __forceinline__ const char* in_at(const LaunchParams& params, const Rows& rows, u32 head, u32 lane) {
  const TensorStrides& strides = strides_of<C, O>(params);
  return rows.in + head * (head_stride<C, O>(strides.in_head) * C.element_bytes()) +
         gained_by_group<C, O>(head, groups_of<C, O>(params).in * C.element_bytes()) +
         lane * lane_stride<C>(strides.in_lane) * C.element_bytes();
}
template <KernelConfig C, u32 O>
__device__ __forceinline__ char* out_at(const LaunchParams& params, const Rows& rows, u32 head, u32 lane) {
  constexpr u32 bytes = bytes_of(C.operand[O].element_out);
  const TensorStrides& strides = strides_of<C, O>(params);
  return rows.out + head * (out_head_stride<C, O>(strides.out_head) * bytes) +
         gained_by_group<C, O>(head, groups_of<C, O>(params).out * bytes) +
         lane * lane_stride<C>(strides.out_lane) * bytes;
}

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
