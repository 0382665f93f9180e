// Operands whose rows are normed before they rotate. The threads of a head group's rows are a segment of a warp
// (Cut::segments): each holds some of the row's lanes in registers, works out what they come to, and the segment adds
// that up. So no thread leaves before the last shuffle, whether it has work or not. Operands of the same kernel that
// are not normed go the way of flat.cuh, or of by_rows.cuh where their layout changes in place.
#pragma once

#include "by_rows.cuh"
#include "flat.cuh"
#include "norm.cuh"

namespace ropejit {

// The lanes of the widest word in which `count` neighbouring lanes of each half of a row can be read.
template <KernelConfig C>
__device__ constexpr u32 widest_word(u32 count, u32 head_dim) {
  u32 lanes = C.strides == Strides::any ? 1 : C.access_bytes / C.element_bytes();
  while (lanes > count || first_half_of(head_dim) % lanes != 0 || head_dim % lanes != 0) lanes /= 2;
  return lanes;
}

// The largest power of two that divides `number` and is at most `most`, which is a power of two itself.
ROPEJIT_ANYWHERE constexpr u32 power_in(u32 number, u32 most) {
  u32 power = 1;
  while (power < most && number % (2 * power) == 0) power *= 2;
  return power;
}

// How the rows of a normed operand are dealt to a segment. Enumerators: of constants the compiler would keep each as
// data in the binary, under a name with the whole configuration in it.
template <KernelConfig C, u32 O>
struct NormedCut {
  enum : bool { rotates = C.rotates(O) };
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
    half = first_half_of(head_dim),
    // Heads whose sums a segment shares out among its threads: the largest power of two in `heads`.
    heads_at_once = power_in(heads, threads),
    held_lanes = rounds * word_lanes,
  };
  enum : bool {
    is_given = C.operand[O].norm.statistic == StatisticUse::given,  // r is read, and no sum is made
    // Whether the lanes that a thread rotates are neighbours in the first half of the row, and those half a row away.
    adds_what_it_holds = rotates && C.layout == Layout::split_half && C.rotary_dim == head_dim &&
                         2 * half == head_dim && held_lanes >= 2,
    // Whether threads read what others write, in place.
    reads_others_lanes =
        C.operand[O].writes_over_itself() && ((!is_given && !adds_what_it_holds) || C.layout != C.layout_out),
  };
  // Elsewhere it reads once more, for the sum alone: so many neighbouring lanes of each half, in words as wide as
  // those.
  enum : u32 {
    added_lanes = adds_what_it_holds ? held_lanes : power_from(half < 2 * threads ? 2 : ceil_divide(half, threads)),
    added_word = widest_word<C>(added_lanes, head_dim),
  };
};

// What a thread knows of the norm of its lanes.
template <KernelConfig C, u32 O>
struct NormedWeights {
  using Cut = NormedCut<C, O>;
  float rotating[Cut::rotates ? Cut::rounds : 1][Cut::rotates ? Cut::chunk_lanes : 1];
  float still[Cut::still_rounds > 0 ? Cut::still_rounds : 1][Cut::still_lanes];
};

struct Normed {
  enum : bool { reads_lists_first = true };

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void rotate_block(const LaunchParams& params, const PlanData& data, u32 block) {
    if constexpr (C.is_normed(O)) {
      norm_block<C, O>(params, data, block);
    } else if constexpr (C.cut == Cut::rows) {
      wait_for_tensors<C>();
      ByRows::template rotate_block<C, O>(params, data, block);
    } else {
      Flat::template rotate_block<C, O>(params, data, block);
    }
  }

 private:
  // Words that do not rotate, of each head of a thread.
  template <KernelConfig C, u32 O>
  using StillWords =
      Word<NormedCut<C, O>::still_lanes * C.element_bytes()>[NormedCut<C, O>::heads][NormedCut<C, O>::still_rounds > 0
                                                                                         ? NormedCut<C, O>::still_rounds
                                                                                         : 1];

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void norm_block(const LaunchParams& params, const PlanData& data, u32 block) {
    using Cut = NormedCut<C, O>;
    const Seat seat = seat_of<C, O>(block, count_tokens<C>(params));
    const u32 thread = seat.item % Cut::threads;
    const u32 group = seat.item / Cut::threads;
    bool works = seat.works;
    Token token{};
    RowsOf<C, O> rows{};
    i64 position[C.axes]{};
    Steps<Cut::pairs> steps[Cut::rounds];
    HeldWords<C, O> word[Cut::rounds];
    StillWords<C, O> still;
    NormedWeights<C, O> weights;
    float r[Cut::heads];
    if (works) {
      token = token_of(params, seat.number);
      if constexpr (Cut::rotates) {
        positions_of<C>(params, token, position);
        for_each_chunk<C, O>(thread,
                             [&](u32 i, u32 chunk) { steps[i] = steps_of_share<C, Cut::pairs>(params, data, chunk); });
      }
      rows = rows_of<C, O>(params, token);
      works = is_read<C, O>(rows);
      if constexpr (C.ready_lists) load_own_weights<C, O>(params, thread, weights);
    }
    wait_for_tensors<C>();
    if (works) {
      for_each_chunk<C, O>(
          thread, [&](u32 i, u32 chunk) { load_share<C, O>(share_of<C, O>(params, rows, group, chunk), word[i]); });
      load_still<C, O>(params, rows, group, thread, still);
      if constexpr (!C.ready_lists) load_own_weights<C, O>(params, thread, weights);
      if constexpr (Cut::is_given) load_statistic<C, O>(params, token, group, r);
    }

    find_place<C, O>(params, rows);
    if constexpr (!Cut::is_given) work_out_statistic<C, O>(params, rows, group, thread, word, works, r);
    // All lanes were read that the sums are of; those that another thread writes must have been read before.
    if constexpr (Cut::reads_others_lanes) __syncwarp();
    if constexpr (C.operand[O].hands_out_statistic()) {
      // All threads of a row know it.
      if (works && thread == 0) store_statistic<C, O>(params, token, group, r);
    }
    if (!works || !has_store<C, O>(params, rows)) return;

    bool padded = false;
    if constexpr (Cut::rotates) {
      padded = is_padding<C>(position);
      for_each_chunk<C, O>(thread, [&](u32 i, u32 chunk) {
        CosSin turn[Cut::pairs];
        turns_of_share<C>(params, data, token, position, steps[i], chunk, turn);
        store_chunk<C, O>(share_of<C, O>(params, rows, group, chunk), word[i], r, weights.rotating[i], turn, padded);
      });
    }
    store_still<C, O>(params, rows, group, thread, still, r, weights, padded);
  }

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ bool has_head(u32 group, u32 h) {
    constexpr RowSplit row = C.split(O);
    if constexpr (C.operand[O].heads % row.heads_per_thread == 0) return true;
    return group + h * row.groups < C.operand[O].heads;
  }

  // Calls visit(i, chunk) for the chunks that a thread rotates: neighbours.
  template <KernelConfig C, u32 O, class Visit>
  static __device__ __forceinline__ void for_each_chunk(u32 thread, const Visit& visit) {
    using Cut = NormedCut<C, O>;
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
  static __device__ __forceinline__ void for_each_still_word(u32 thread, const Visit& visit) {
    using Cut = NormedCut<C, O>;
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

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void load_still(const LaunchParams& params, const Rows& rows, u32 group, u32 thread,
                                                    StillWords<C, O>& word) {
    constexpr u32 bytes = C.element_bytes();
    for_each_still_word<C, O>(thread, [&](u32 i, u32 lane) {
#pragma unroll
      for (u32 h = 0; h < NormedCut<C, O>::heads; ++h) {
        if (has_head<C, O>(group, h)) {
          word[h][i] = load_word<NormedCut<C, O>::still_lanes * bytes>(in_at<C, O>(params, rows, group, h, lane));
        }
      }
    });
  }

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void load_own_weights(const LaunchParams& params, u32 thread,
                                                          NormedWeights<C, O>& weights) {
    using Cut = NormedCut<C, O>;
    constexpr RowSplit row = C.split(O);
    constexpr Element W = C.operand[O].norm.weight;
    const void* const from = lines_of<O>(params).weight;
    for_each_chunk<C, O>(thread, [&](u32 i, u32 chunk) {
      const u32 first = first_lane_of<C, O>(C.layout, chunk);
#pragma unroll
      for (u32 w = 0; w < row.words_per_thread; ++w) {
        load_weights<W, row.word_lanes, C.access_bytes>(from,
                                                        first + w * lanes_between_words<C>(C.layout, row.word_lanes),
                                                        weights.rotating[i], w * row.word_lanes);
      }
    });
    for_each_still_word<C, O>(thread, [&](u32 i, u32 lane) {
      load_weights<W, Cut::still_lanes, C.access_bytes>(from, lane, weights.still[i], 0);
    });
  }

  // Where a lane of head h of a thread's group is read, and where it is written.
  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ const char* in_at(const LaunchParams& params, const Rows& rows, u32 group, u32 h,
                                                      u32 lane) {
    const TensorStrides& strides = strides_of<C, O>(params);
    const i64 head = head_stride<C, O>(strides.in_head) * C.element_bytes();
    return rows.in + (group + h * C.split(O).groups) * head +
           lane * lane_stride<C>(strides.in_lane) * C.element_bytes();
  }
  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ char* out_at(const LaunchParams& params, const Rows& rows, u32 group, u32 h,
                                                 u32 lane) {
    constexpr u32 bytes = bytes_of(C.operand[O].element_out);
    const TensorStrides& strides = strides_of<C, O>(params);
    const i64 head = out_head_stride<C, O>(strides.out_head) * bytes;
    return rows.out + (group + h * C.split(O).groups) * head + lane * lane_stride<C>(strides.out_lane) * bytes;
  }

  // What a thread's lanes of head h come to in the sum of squares.
  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ float part_of(const LaunchParams& params, const Rows& rows, u32 group, u32 thread,
                                                  const HeldWords<C, O> (&word)[NormedCut<C, O>::rounds], u32 h) {
    using Cut = NormedCut<C, O>;
    float low[Cut::added_lanes];
    float high[Cut::added_lanes];
#pragma unroll
    for (u32 i = 0; i < Cut::added_lanes; ++i) low[i] = high[i] = 0.0f;
    if constexpr (Cut::adds_what_it_holds) {
      for_each_chunk<C, O>(thread, [&](u32 i, u32) {
        unpack<C.element>(word[i][h][0], low, i * Cut::word_lanes);
        unpack<C.element>(word[i][h][1], high, i * Cut::word_lanes);
      });
    } else {
      constexpr u32 bytes = Cut::added_word * C.element_bytes();
#pragma unroll
      for (u32 i = 0; i < Cut::added_lanes; i += Cut::added_word) {
        const u32 lane = thread * Cut::added_lanes + i;
        if (lane >= Cut::half) continue;
        unpack<C.element>(load_word<bytes>(in_at<C, O>(params, rows, group, h, lane)), low, i);
        if (Cut::half + lane >= Cut::head_dim) continue;
        unpack<C.element>(load_word<bytes>(in_at<C, O>(params, rows, group, h, Cut::half + lane)), high, i);
      }
    }
    return sum_of_part(low, high);
  }

  // r of a thread's heads, which all threads of the warp work out at once.
  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void work_out_statistic(const LaunchParams& params, const Rows& rows, u32 group,
                                                            u32 thread,
                                                            const HeldWords<C, O> (&word)[NormedCut<C, O>::rounds],
                                                            bool works, float (&r)[NormedCut<C, O>::heads]) {
    using Cut = NormedCut<C, O>;
    constexpr float share = 1.0f / static_cast<float>(Cut::head_dim);
#pragma unroll
    for (u32 first = 0; first < Cut::heads; first += Cut::heads_at_once) {
      float part[Cut::heads_at_once];
#pragma unroll
      for (u32 i = 0; i < Cut::heads_at_once; ++i) {
        const u32 h = first + i;
        part[i] = works && has_head<C, O>(group, h) ? part_of<C, O>(params, rows, group, thread, word, h) : 0.0f;
      }
      float own[Cut::heads_at_once];
      reciprocals_of_segment<Cut::threads>(part, thread, share, lines_of<O>(params).eps, own);
#pragma unroll
      for (u32 i = 0; i < Cut::heads_at_once; ++i) r[first + i] = own[i];
    }
  }

  // Where r of head h of a thread's group is in memory.
  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ char* statistic_at(const LaunchParams& params, const Token& token, u32 group,
                                                       u32 h) {
    const OperandStatistic& statistic = statistic_of<O>(params);
    const i64 head = group + h * C.split(O).groups;
    return static_cast<char*>(statistic.data) + (token.number * statistic.token + head * statistic.head) * 4;
  }

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void load_statistic(const LaunchParams& params, const Token& token, u32 group,
                                                        float (&r)[NormedCut<C, O>::heads]) {
#pragma unroll
    for (u32 h = 0; h < NormedCut<C, O>::heads; ++h) {
      if (has_head<C, O>(group, h)) {
        r[h] = float_from_bits(load_word<4>(statistic_at<C, O>(params, token, group, h)).bits[0]);
      }
    }
  }

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void store_statistic(const LaunchParams& params, const Token& token, u32 group,
                                                         const float (&r)[NormedCut<C, O>::heads]) {
#pragma unroll
    for (u32 h = 0; h < NormedCut<C, O>::heads; ++h) {
      if (!has_head<C, O>(group, h)) continue;
      store_word(statistic_at<C, O>(params, token, group, h), Word<4>{{bits_of(r[h])}});
    }
  }

  // Norms lanes that are read, in place.
  template <KernelConfig C, u32 O, u32 lanes>
  static __device__ __forceinline__ void norm_lanes(float (&lane)[lanes], float r, const float (&weight)[lanes]) {
    constexpr NormConfig norm = C.operand[O].norm;
#pragma unroll
    for (u32 i = 0; i < lanes; ++i) {
      lane[i] = normed<C.element, norm.round_normed, norm.round_weighted>(lane[i], r, weight[i]);
    }
  }

  // Tokens that are kept are not normed.
  template <KernelConfig C>
  static __device__ __forceinline__ bool is_kept(bool padded) {
    return C.padding == Padding::keep && padded;
  }

  template <KernelConfig C, u32 O, u32 pairs>
  static __device__ __forceinline__ void store_chunk(const ShareOf<C, O>& share, const HeldWords<C, O>& word,
                                                     const float (&r)[NormedCut<C, O>::heads],
                                                     const float (&weight)[2 * pairs], const CosSin (&turn)[pairs],
                                                     bool padded) {
    constexpr RowSplit row = C.split(O);
    constexpr Element out = C.operand[O].element_out;
#pragma unroll
    for (u32 h = 0; h < row.heads_per_thread; ++h) {
      if (!has_head<C, O>(share.group, h)) continue;
      char* const at = share.out + h * share.out_head_step;
      float read[2 * pairs];
      float written[2 * pairs];
#pragma unroll
      for (u32 w = 0; w < row.words_per_thread; ++w) unpack<C.element>(word[h][w], read, w * row.word_lanes);
      if (is_kept<C>(padded)) {
        // Words that stay as they are are not unpacked: a NaN would lose its payload.
        if constexpr (C.layout_out == C.layout && out == C.element) {
#pragma unroll
          for (u32 w = 0; w < row.words_per_thread; ++w) {
            if constexpr (C.operand[O].is_written_beside()) {
              store_word(beside_of_head<C, O>(share, h) + w * share.beside_word_step, word[h][w]);
              if (!share.has_place) continue;
            }
            store_word(at + w * share.out_word_step, word[h][w]);
          }
          continue;
        }
      } else {
        norm_lanes<C, O>(read, r[h], weight);
      }
      run_stages<C, O>(read, turn, padded, written);
#pragma unroll
      for (u32 w = 0; w < row.out_words_per_thread; ++w) {
        if constexpr (C.operand[O].is_written_beside()) {
          store_lanes<out, row.out_word_lanes, C.access_bytes>(
              beside_of_head<C, O>(share, h) + w * share.beside_word_step, written, w * row.out_word_lanes);
          if (!share.has_place) continue;
        }
        store_lanes<out, row.out_word_lanes, C.access_bytes>(at + w * share.out_word_step, written,
                                                             w * row.out_word_lanes);
      }
    }
  }

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void store_still(const LaunchParams& params, const RowsOf<C, O>& rows, u32 group,
                                                     u32 thread, const StillWords<C, O>& word,
                                                     const float (&r)[NormedCut<C, O>::heads],
                                                     const NormedWeights<C, O>& weights, bool padded) {
    using Cut = NormedCut<C, O>;
    constexpr Element out = C.operand[O].element_out;
    for_each_still_word<C, O>(thread, [&](u32 i, u32 lane) {
#pragma unroll
      for (u32 h = 0; h < Cut::heads; ++h) {
        if (!has_head<C, O>(group, h)) continue;
        char* const at = out_at<C, O>(params, rows, group, h, lane);
        float value[Cut::still_lanes];
        unpack<C.element>(word[h][i], value, 0);
        if (is_kept<C>(padded)) {
          if constexpr (out == C.element) {
            if constexpr (C.operand[O].is_written_beside()) {
              store_word(beside_at<C, O>(params, rows, group + h * C.split(O).groups, lane), word[h][i]);
              if (rows.out == nullptr) continue;
            }
            store_word(at, word[h][i]);
            continue;
          }
        } else {
          norm_lanes<C, O>(value, r[h], weights.still[i]);
          if (C.padding == Padding::zero && padded) {
#pragma unroll
            for (u32 n = 0; n < Cut::still_lanes; ++n) value[n] = 0.0f;
          }
        }
        if constexpr (C.operand[O].is_written_beside()) {
          store_lanes<out, Cut::still_lanes, C.access_bytes>(
              beside_at<C, O>(params, rows, group + h * C.split(O).groups, lane), value, 0);
          if (rows.out == nullptr) continue;
        }
        store_lanes<out, Cut::still_lanes, C.access_bytes>(at, value, 0);
      }
    });
  }
};

}  // namespace ropejit
