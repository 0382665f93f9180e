// The lanes family: a warp's threads all belong to one token (Cut::warps). Lane l works out the token's angles l *
// angles and following, while the elements are on their way, and the lanes hand them to each other. A thread's pairs
// and all pairs must be multiples of a lane's angles.
#pragma once

#include "share.cuh"

namespace ropejit {

struct Lanes {
  enum : bool { reads_lists_first = false };

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void rotate_block(const LaunchParams& params, const PlanData& data, u32 block) {
    constexpr RowSplit row = C.split(O);
    constexpr u32 angles = ceil_divide(C.pairs(), 32);  // of a lane
    const u32 count = count_tokens<C>(params);
    const Seat seat = seat_of<C, O>(block, count);
    // All lanes of a warp take the same way here; lanes without work of their own stay for the sake of their angles.
    if (seat.in_block >= C.block(O).tokens || seat.number >= count) return;
    const Token token = token_of(params, seat.number);
    i64 position[C.axes];
    const u32 sequence = positions_of<C>(params, token, position);
    const u32 lane = threadIdx.x % 32;
    const bool has_angles = C.pairs() % 32 == 0 || lane * angles < C.pairs();
    Steps<angles> steps{};
    if (has_angles) steps = load_steps<angles>(params, data, lane * angles);
    const u32 chunk = seat.item % row.chunks;
    RowsOf<C, O> rows = rows_of<C, O>(params, token);
    find_request<C, O>(params, token, sequence, position[0], rows);
    const bool works = seat.works && is_written<C, O>(params, rows);
    const ShareOf<C, O> share = share_of<C, O>(params, rows, seat.item / row.chunks, chunk);
    HeldWords<C, O> word;
    if (works) {
      load_share<C, O>(share, word);
      copy_still_lanes<C, O>(params, rows, seat.item);
    }

    CosSin mine[angles];
    if (has_angles) computed_turns<C>(position, data, steps, lane * angles, mine);
    CosSin turn[row.pairs_per_thread];
#pragma unroll
    for (u32 i = 0; i < row.pairs_per_thread; ++i) {
      turn[i] = from_lane(mine[i % angles], (chunk * row.pairs_per_thread + i) / angles);
    }
    if (works) store_share<C, O>(share, word, turn, is_padding<C>(position));
  }

 private:
  // All lanes call it at once; one that has no use for the result may ask for any lane's.
  static __device__ __forceinline__ CosSin from_lane(CosSin turn, u32 lane) {
    return {__shfl_sync(0xffffffffu, turn.cos, lane), __shfl_sync(0xffffffffu, turn.sin, lane)};
  }
};

}  // namespace ropejit
