// Operands with stages beside the rotation: norms, biases, scales. The threads of a head group's rows are a segment of
// a warp, and hold them in registers (staged_row.cuh); where they are normed, they work out together what a row comes
// to (row_statistic.cuh). Operands of the same kernel that are rotated alone go the way of flat.cuh, or of by_rows.cuh
// where their layout changes in place.
#pragma once

#include "by_rows.cuh"
#include "flat.cuh"
#include "row_statistic.cuh"

namespace ropejit {

struct Staged {
  enum : bool { reads_lists_first = true };

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void rotate_block(const LaunchParams& params, const PlanData& data, u32 block) {
    if constexpr (C.is_staged(O)) {
      run_staged<C, O>(params, data, block);
    } else if constexpr (C.cut == Cut::rows) {
      wait_for_tensors<C>();
      ByRows::template rotate_block<C, O>(params, data, block);
    } else {
      Flat::template rotate_block<C, O>(params, data, block);
    }
  }

 private:
  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void run_staged(const LaunchParams& params, const PlanData& data, u32 block) {
    using Cut = StagedCut<C, O>;
    constexpr OperandConfig shape = C.operand[O];
    const Seat seat = seat_of<C, O>(block, count_tokens<C>(params));
    StagedRow<C, O> row;
    row.thread = seat.item % Cut::threads;
    row.group = seat.item / Cut::threads;
    bool works = seat.works;
    Token token{};
    i64 position[C.axes]{};
    Steps<Cut::pairs> steps[Cut::rounds];
    RowStatistic<C, O> statistic;
    row.rows = RowsOf<C, O>{};
    if (works) {
      token = token_of(params, seat.number);
      u32 sequence = token.sequence;
      if constexpr (Cut::rotates || shape.has(Stage::temperature)) {
        sequence = positions_of<C>(params, token, position);
      }
      for_each_chunk<C, O>(row.thread,
                           [&](u32 i, u32 chunk) { steps[i] = steps_of_share<C, Cut::pairs>(params, data, chunk); });
      row.rows = rows_of<C, O>(params, token);
      if constexpr (Cut::rotates || shape.has(Stage::temperature)) {
        find_request<C, O>(params, token, sequence, position[0], row.rows);
      } else {
        find_request<C, O>(params, token, row.rows);
      }
      works = is_read<C, O>(row.rows);
      if constexpr (C.ready_lists) load_weights<C, O>(params, row);
    }
    wait_for_tensors<C>();
    if (works) {
      load_lanes<C, O>(params, row);
      if constexpr (!C.ready_lists) load_weights<C, O>(params, row);
      if constexpr (Cut::is_normed && !Cut::sums) load_statistic<C, O>(params, token, row.group, statistic);
    }
    find_place<C, O>(params, row.rows);
    const auto work_out_turns = [&] {
      row.tau = tau_of<C, O>(params, position[0]);
      for_each_chunk<C, O>(row.thread, [&](u32 i, u32 chunk) {
        turns_of_share<C>(params, data, token, position, steps[i], chunk, row.turn[i]);
      });
    };
    // Before the sum where that is of what has turned.
    if constexpr (Cut::norms_turned || shape.place_of(Stage::temperature) < Cut::norming) {
      if (works) work_out_turns();
    }
    if constexpr (Cut::sums) work_out_statistic<C, O>(params, row, seat, works, statistic);
    // Lanes that another thread writes must have been read before.
    if constexpr (Cut::reads_others_lanes) __syncwarp();
    if constexpr (Cut::is_normed && shape.norm.round_statistic) {
#pragma unroll
      for (u32 h = 0; h < Cut::heads; ++h) statistic.r[h] = rounded_to<C.element>(statistic.r[h]);
    }
    if constexpr (shape.hands_out_statistic()) {
      // By one thread of each row, as all of them know it.
      if (works && row.thread == 0) store_statistic<C, O>(params, token, row, statistic);
    }
    if constexpr (!shape.no_store) {
      if (!works || !has_store<C, O>(params, row.rows)) return;
      if constexpr (!(Cut::norms_turned || shape.place_of(Stage::temperature) < Cut::norming)) work_out_turns();
      const bool padded = Cut::rotates && is_padding<C>(position);
      for_each_chunk<C, O>(row.thread,
                           [&](u32 i, u32 chunk) { store_chunk<C, O>(params, row, i, chunk, statistic, padded); });
      store_still<C, O>(params, row, statistic, padded);
    }
  }

  // Tokens that are kept go through no stage.
  template <KernelConfig C>
  static __device__ __forceinline__ bool is_kept(bool padded) {
    return C.padding == Padding::keep && padded;
  }

  template <KernelConfig C, u32 lanes>
  static __device__ __forceinline__ void zero_padding(bool padded, float (&lane)[lanes]) {
    if constexpr (C.padding == Padding::zero) {
      if (!padded) return;
#pragma unroll
      for (u32 i = 0; i < lanes; ++i) lane[i] = 0.0f;
    }
  }

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ StageInput input_of_head(const StagedRow<C, O>& row,
                                                             const RowStatistic<C, O>& statistic, u32 h) {
    using Cut = StagedCut<C, O>;
    return {head_of<C, O>(row.group, h), Cut::is_normed ? statistic.r[h] : 0.0f,
            C.operand[O].norm.kind == NormKind::layer ? statistic.mean[h] : 0.0f, row.tau};
  }

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void store_chunk(const LaunchParams& params, const StagedRow<C, O>& held, u32 i,
                                                     u32 chunk, const RowStatistic<C, O>& statistic, bool padded) {
    using Cut = StagedCut<C, O>;
    constexpr RowSplit row = C.split(O);
    constexpr Element out = C.operand[O].element_out;
    const ShareOf<C, O> share = share_of<C, O>(params, held.rows, held.group, chunk);
    const HeldWords<C, O>& word = held.word[i];
#pragma unroll
    for (u32 h = 0; h < row.heads_per_thread; ++h) {
      if (!has_head<C, O>(share.group, h)) continue;
      char* const at = share.out + h * share.out_head_step;
      float read[Cut::chunk_lanes];
      float written[Cut::chunk_lanes];
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
        rotate<C>(read, held.turn[i], true, written);
      } else {
        float weight[Cut::chunk_lanes];
        weights_of_chunk<C, O>(held, h, i, weight);
        run_chunk<C, O, MostStages, Cut::pairs>(params, input_of_head<C, O>(held, statistic, h), chunk, held.turn[i],
                                                weight, read, written);
        zero_padding<C>(padded, written);
      }
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
  static __device__ __forceinline__ void store_still(const LaunchParams& params, const StagedRow<C, O>& row,
                                                     const RowStatistic<C, O>& statistic, bool padded) {
    using Cut = StagedCut<C, O>;
    constexpr Element out = C.operand[O].element_out;
    for_each_still_word<C, O>(row.thread, [&](u32 i, u32 lane) {
#pragma unroll
      for (u32 h = 0; h < Cut::heads; ++h) {
        if (!has_head<C, O>(row.group, h)) continue;
        const u32 head = head_of<C, O>(row.group, h);
        char* const at = out_at<C, O>(params, row.rows, head, lane);
        float value[Cut::still_lanes];
        unpack<C.element>(row.still[h][i], value, 0);
        if (is_kept<C>(padded)) {
          if constexpr (out == C.element) {
            if constexpr (C.operand[O].is_written_beside()) {
              store_word(beside_at<C, O>(params, row.rows, head, lane), row.still[h][i]);
              if (row.rows.out == nullptr) continue;
            }
            store_word(at, row.still[h][i]);
            continue;
          }
        } else {
          float weight[Cut::still_lanes];
          weights_of_still<C, O>(row, h, i, weight);
          run_still<C, O, MostStages, Cut::still_lanes>(params, input_of_head<C, O>(row, statistic, h), lane, weight,
                                                        value);
          zero_padding<C>(padded, value);
        }
        if constexpr (C.operand[O].is_written_beside()) {
          store_lanes<out, Cut::still_lanes, C.access_bytes>(beside_at<C, O>(params, row.rows, head, lane), value, 0);
          if (row.rows.out == nullptr) continue;
        }
        store_lanes<out, Cut::still_lanes, C.access_bytes>(at, value, 0);
      }
    });
  }
};

}  // namespace ropejit
