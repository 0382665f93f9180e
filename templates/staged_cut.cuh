// How the rows of an operand with stages beside the rotation are dealt to threads. The threads of a head group's rows
// are a segment of a warp (Cut::segments): each has some of the row's lanes, rotating ones and others.
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
  if constexpr (C.operand[O].split_lanes > 0) {
    return rows.out + head * (strides.out_head * bytes) + to_split_lane<C, O>(params, lane) * bytes;
  } else {
    return rows.out + head * (out_head_stride<C, O>(strides.out_head) * bytes) +
           gained_by_group<C, O>(head, groups_of<C, O>(params).out * bytes) +
           lane * lane_stride<C>(strides.out_lane) * bytes;
  }
}

}  // namespace ropejit
