// Where the layout changes in place a thread would write lanes that another has yet to read. So a row's threads stand
// in one block, and read all of it before any of them writes. Operands that are written over themselves beside a cache
// are of these, too.
#pragma once

#include "share.cuh"

namespace ropejit {

struct ByRows {
  enum : bool { reads_lists_first = false };

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void rotate_block(const LaunchParams& params, const PlanData& data, u32 block) {
    constexpr RowSplit row = C.split(O);
    constexpr BlockSplit cut = C.block(O);
    const Seat seat = seat_of<C, O>(block, count_tokens<C>(params));
    const u32 group = seat.item / cut.row_threads;
    const u32 first_chunk = seat.item % cut.row_threads;
    bool works = seat.works;
    Token token{};
    RowsOf<C, O> rows{};
    HeldWords<C, O> word[cut.rounds];
    if (works) {
      token = token_of(params, seat.number);
      rows = rows_of<C, O>(params, token);
      find_request<C, O>(params, token, rows);
      works = is_written<C, O>(params, rows);
    }
    if (works) {
#pragma unroll
      for (u32 r = 0; r < cut.rounds; ++r) {
        const u32 chunk = r * cut.row_threads + first_chunk;
        if (chunk < row.chunks) load_share<C, O>(share_of<C, O>(params, rows, group, chunk), word[r]);
      }
    }
    __syncthreads();
    if (!works) return;
    i64 position[C.axes];
    positions_of<C>(params, token, position);
#pragma unroll
    for (u32 r = 0; r < cut.rounds; ++r) {
      const u32 chunk = r * cut.row_threads + first_chunk;
      if (chunk < row.chunks) {
        CosSin turn[row.pairs_per_thread];
        const auto steps = steps_of_share<C, row.pairs_per_thread>(params, data, chunk);
        turns_of_share<C>(params, data, token, position, steps, chunk, turn);
        store_share<C, O>(share_of<C, O>(params, rows, group, chunk), word[r], turn, is_padding<C>(position));
      }
    }
    copy_still_lanes<C, O>(params, rows, seat.item);
  }
};

}  // namespace ropejit
