// The shared family: a block works out the angles of its tokens once, into shared memory, while its elements are on
// their way from memory; then each thread turns its share with them.
#pragma once

#include "share.cuh"

namespace ropejit {

// Neighbouring turns, read in accesses of up to 16 bytes.
template <u32 count>
struct alignas(count == 1 ? 8 : 16) NeighbourTurns {
  CosSin turn[count];
};

struct Shared {
  enum : bool { reads_lists_first = false };

  template <KernelConfig C, u32 O>
  static __device__ __forceinline__ void rotate_block(const LaunchParams& params, const PlanData& data, u32 block) {
    constexpr RowSplit row = C.split(O);
    constexpr BlockSplit cut = C.block(O);
    constexpr u32 jobs = cut.tokens * C.pairs();  // an angle each, dealt out to the threads
    constexpr u32 rounds = ceil_divide(jobs, C.threads());
    alignas(16) __shared__ CosSin turns[jobs];

    const u32 count = count_tokens<C>(params);
    const Seat seat = seat_of<C, O>(block, count);
    // What the jobs wait for is asked for before the elements.
    const u64* const steps = steps_of(params, data);
    i64 job_position[rounds];
    u64 job_step[rounds];
#pragma unroll
    for (u32 r = 0; r < rounds; ++r) {
      const u32 job = r * C.threads() + threadIdx.x;
      const u32 number = cut.tokens == 1 ? seat.number : block * cut.tokens + job / C.pairs();
      if (jobs % C.threads() == 0 || job < jobs) {
        const u32 pair = job % C.pairs();
        job_position[r] = number < count ? position_of_job<C>(params, data, number, pair) : 0;
        job_step[r] = load_readonly(steps + pair);
      }
    }
    const u32 chunk = seat.item % row.chunks;
    bool works = seat.works;
    Token token{};
    ShareOf<C, O> share{};
    HeldWords<C, O> word;
    if (works) {
      token = token_of(params, seat.number);
      RowsOf<C, O> rows = rows_of<C, O>(params, token);
      find_request<C, O>(params, token, rows);
      works = is_written<C, O>(params, rows);
      if (works) {
        share = share_of<C, O>(params, rows, seat.item / row.chunks, chunk);
        load_share<C, O>(share, word);
        copy_still_lanes<C, O>(params, rows, seat.item);
      }
    }
#pragma unroll
    for (u32 r = 0; r < rounds; ++r) {
      const u32 job = r * C.threads() + threadIdx.x;
      if (jobs % C.threads() == 0 || job < jobs) {
        turns[job] = turn_of<C>(job_position[r], job_step[r], data.attention_scale);
      }
    }
    __syncthreads();
    if (works) {
      constexpr u32 pairs = row.pairs_per_thread;
      const auto& neighbours =
          *reinterpret_cast<const NeighbourTurns<pairs>*>(turns + seat.in_block * C.pairs() + chunk * pairs);
      CosSin turn[pairs];
#pragma unroll
      for (u32 i = 0; i < pairs; ++i) turn[i] = neighbours.turn[i];
      bool padded = false;
      if constexpr (C.padding != Padding::rotate) {
        i64 position[C.axes];
        positions_of<C>(params, token, position);
        padded = is_padding<C>(position);
      }
      store_share<C, O>(share, word, turn, padded);
    }
  }

 private:
  // The position that turns `pair` of a token.
  template <KernelConfig C>
  static __device__ __forceinline__ i64 position_of_job(const LaunchParams& params, const PlanData& data, u32 number,
                                                        u32 pair) {
    i64 position[C.axes];
    positions_of<C>(params, token_of(params, number), position);
    return position_of_pair<C>(position, data, pair);
  }
};

}  // namespace ropejit
