// The flat family: every thread works out the angles of its own pairs and uses them for several heads. With scalar
// accesses and run-time strides (Strides::any) it is also the universal entry.
// In place is safe because a thread reads every lane that it writes before it writes any, and shares none. That is not
// so where the layout changes in place: see by_rows.cuh.
#pragma once

#include "share.cuh"

namespace ropejit {

struct Flat {
  enum : bool { reads_lists_first = true };

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void rotate_block(const LaunchParams& params, const PlanData& data, u32 block) {
    constexpr RowSplit row = C.split(O);
    const Seat seat = seat_of<C, O>(block, count_tokens<C>(params));
    if (!seat.works) return wait_for_tensors<C>();
    const Token token = token_of(params, seat.number);
    const u32 chunk = seat.item % row.chunks;
    // What the angles wait for goes out first: they are worked out while the elements are on their way.
    i64 position[C.axes];
    const u32 sequence = positions_of<C>(params, token, position);
    const auto steps = steps_of_share<C, row.pairs_per_thread>(params, data, chunk);
    RowsOf<C, O> rows = rows_of<C, O>(params, token);
    find_request<C, O>(params, token, sequence, position[0], rows);
    wait_for_tensors<C>();
    if (!is_read<C, O>(rows)) return;
    ShareOf<C, O> share = share_of<C, O>(params, rows, seat.item / row.chunks, chunk);
    HeldWords<C, O> word;
    load_share<C, O>(share, word);
    if constexpr (C.operand[O].has_pages()) {
      find_place<C, O>(params, rows);
      if (!has_store<C, O>(params, rows)) return;
      share = share_of<C, O>(params, rows, seat.item / row.chunks, chunk);
    }
    copy_still_lanes<C, O>(params, rows, seat.item);
    CosSin turn[row.pairs_per_thread];
    turns_of_share<C>(params, data, token, position, steps, chunk, turn);
    store_share<C, O>(share, word, turn, is_padding<C>(position));
  }
};

}  // namespace ropejit
