// The statistic of a normed operand's rows: each thread works out what its lanes come to, and the row's segment adds
// that up by shuffles; for a norm over the token the block then adds up its heads. So no thread leaves before, whether
// it has work or not, and no exchange stands in code that threads of a warp may pass apart.
#pragma once

#include "added_lanes.cuh"
#include "token_sum.cuh"

namespace ropejit {

// The statistics of a thread's heads.
template <KernelConfig C, u32 O>
struct RowStatistic {
  float r[StagedCut<C, O>::heads];
  float mean[StagedCut<C, O>::heads];  // of a layer norm
  float sum[StagedCut<C, O>::heads];   // of squares, where it is handed out
};

// What a thread's lanes of head h come to. All threads of the warp call it at once; `has_row`: it has such a head.
template <KernelConfig C, u32 O, Summand summand, class Centre>
__device__ __forceinline__ float part_of(const LaunchParams& params, const StagedRow<C, O>& row, u32 h, bool has_row,
                                         const Centre& centre) {
  using Cut = StagedCut<C, O>;
  AddedLanes<C, O> added;
#pragma unroll
  for (u32 i = 0; i < Cut::added_lanes; ++i) added.low[i] = added.high[i] = 0.0f;
  if constexpr (Cut::hands_round) {
    add_handed_lanes<C, O>(params, row, h, has_row, centre, added);
  } else if (has_row) {
    add_held_lanes<C, O>(params, row, h, centre, added);
  }
  return has_row ? sum_of_part<summand>(added.low, added.high) : 0.0f;
}

// finish(sum) of each of a thread's heads, or for a norm over the token of the token's: then each pass of a kernel has
// memory of its own, so that nothing is written over what others have yet to read. `centre(h, lane)` is what is added
// of a lane of head h. All threads of the block call it at once.
template <KernelConfig C, u32 O, Summand summand, u32 pass, class Centre, class Finish>
__device__ __forceinline__ void sums_of_row(const LaunchParams& params, const StagedRow<C, O>& row, const Seat& seat,
                                            bool works, const Centre& centre, const Finish& finish,
                                            float (&result)[StagedCut<C, O>::heads]) {
  using Cut = StagedCut<C, O>;
  constexpr bool by_token = C.operand[O].norm.is_by_token();
#pragma unroll
  for (u32 first = 0; first < Cut::heads; first += Cut::heads_at_once) {
    float part[Cut::heads_at_once];
#pragma unroll
    for (u32 i = 0; i < Cut::heads_at_once; ++i) {
      const u32 h = first + i;
      part[i] = part_of<C, O, summand>(params, row, h, works && has_head<C, O>(row.group, h),
                                       [&](float lane) { return centre(h, lane); });
    }
    float own[Cut::heads_at_once];
    if constexpr (by_token) {
      sums_of_segment<Cut::threads>(
          part, row.thread, [](float sum) { return sum; }, own);
    } else {
      sums_of_segment<Cut::threads>(part, row.thread, finish, own);
    }
#pragma unroll
    for (u32 i = 0; i < Cut::heads_at_once; ++i) result[first + i] = own[i];
  }
  if constexpr (by_token) {
    constexpr u32 tokens = C.block(O).tokens;
    __shared__ float sums[tokens][C.operand[O].heads];
    float* const own = sums[seat.in_block < tokens ? seat.in_block : tokens - 1];
    if (works && row.thread == 0) {
#pragma unroll
      for (u32 h = 0; h < Cut::heads; ++h) {
        if (has_head<C, O>(row.group, h)) own[head_of<C, O>(row.group, h)] = result[h];
      }
    }
    __syncthreads();
    const float all = finish(sum_of_heads<C.operand[O].heads>(own));
#pragma unroll
    for (u32 h = 0; h < Cut::heads; ++h) result[h] = all;
  }
}

template <KernelConfig C, u32 O>
__device__ __forceinline__ void work_out_statistic(const LaunchParams& params, const StagedRow<C, O>& row,
                                                   const Seat& seat, bool works, RowStatistic<C, O>& statistic) {
  using Cut = StagedCut<C, O>;
  constexpr NormConfig norm = C.operand[O].norm;
  constexpr bool hands_out_sum = norm.statistic == StatisticUse::sum_handed_out;
  constexpr float share = 1.0f / static_cast<float>(Cut::normed_lanes * (norm.is_by_token() ? C.operand[O].heads : 1));
  const float& eps = lines_of<O>(params).eps;
  const auto finish = [&](float sum) { return statistic_of_sum(norm.kind, sum, share, eps); };
  const auto as_it_is = [](u32, float lane) { return lane; };
  if constexpr (norm.kind == NormKind::layer) {
    sums_of_row<C, O, Summand::lane, 0>(
        params, row, seat, works, as_it_is, [](float sum) { return multiply(sum, share); }, statistic.mean);
    sums_of_row<C, O, Summand::square, 1>(
        params, row, seat, works, [&](u32 h, float lane) { return add(lane, -statistic.mean[h]); }, finish,
        statistic.r);
  } else if constexpr (hands_out_sum) {
    sums_of_row<C, O, Summand::square, 0>(
        params, row, seat, works, as_it_is, [](float sum) { return sum; }, statistic.sum);
#pragma unroll
    for (u32 h = 0; h < Cut::heads; ++h) statistic.r[h] = finish(statistic.sum[h]);
  } else {
    sums_of_row<C, O, Summand::square, 0>(params, row, seat, works, as_it_is, finish, statistic.r);
  }
}

// Where the statistic of head h of a thread's group is in memory.
template <KernelConfig C, u32 O>
__device__ __forceinline__ char* statistic_at(const LaunchParams& params, const Token& token, u32 group, u32 h) {
  const OperandStatistic& statistic = statistic_of<O>(params);
  const i64 head = C.operand[O].norm.is_by_token() ? 0 : head_of<C, O>(group, h);
  return static_cast<char*>(statistic.data) + (token.number * statistic.token + head * statistic.head) * 4;
}

template <KernelConfig C, u32 O>
__device__ __forceinline__ void load_statistic(const LaunchParams& params, const Token& token, u32 group,
                                               RowStatistic<C, O>& statistic) {
#pragma unroll
  for (u32 h = 0; h < StagedCut<C, O>::heads; ++h) {
    if (!has_head<C, O>(group, h)) continue;
    statistic.r[h] = float_from_bits(load_word<4>(statistic_at<C, O>(params, token, group, h)).bits[0]);
    if constexpr (C.operand[O].norm.statistic == StatisticUse::sum_given) {
      statistic.r[h] =
          statistic_of_sum(NormKind::rms, statistic.r[h], numbers_of<O>(params).norm_share, lines_of<O>(params).eps);
    }
  }
}

// Called by one thread of each row; of a token, that of its first group stores.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void store_statistic(const LaunchParams& params, const Token& token,
                                                const StagedRow<C, O>& row, const RowStatistic<C, O>& statistic) {
  constexpr NormConfig norm = C.operand[O].norm;
  if (norm.is_by_token() && row.group != 0) return;
#pragma unroll
  for (u32 h = 0; h < (norm.is_by_token() ? 1 : StagedCut<C, O>::heads); ++h) {
    if (!has_head<C, O>(row.group, h)) continue;
    const float value = norm.statistic == StatisticUse::sum_handed_out ? statistic.sum[h] : statistic.r[h];
    store_word(statistic_at<C, O>(params, token, row.group, h), Word<4>{{bits_of(value)}});
  }
}

}  // namespace ropejit
