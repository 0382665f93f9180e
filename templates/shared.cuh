// The shared family: a block works out the angles of its tokens once, into shared memory, while its elements are on
// their way from memory; then each thread turns its share with them. Items are numbered as in the flat family, so a
// block's items belong to one token or to a few that follow one another.
#pragma once

#include "share.cuh"

namespace ropejit {

template <KernelConfig C>
struct SharedAngles {
  static constexpr u32 items = C.block().items_per_token;
  static constexpr u32 tokens = tokens_of_block(items, C.threads);
  static constexpr u32 jobs = tokens * C.pairs();
  static constexpr u32 rounds = (jobs + C.threads - 1) / C.threads;
};

// Read in accesses of up to 16 bytes.
template <u32 count>
struct alignas(count * 4 < 16 ? count * 4 : 16) NeighbourFloats {
  float value[count];
};

// The position that turns `pair` of a token.
template <KernelConfig C>
__device__ __forceinline__ i64 position_of_job(const LaunchParams& params, const PlanData& data, u32 number, u32 pair) {
  const Token token = token_of(params, number);
  i64 position[C.axes];
  positions_of<C>(params, token.sequence, token.place, position);
  return position_of_pair<C>(position, data, pair);
}

template <KernelConfig C>
__device__ __forceinline__ void shared(const LaunchParams& params, const PlanData& data) {
  using Angles = SharedAngles<C>;
  constexpr RowSplit q_split = C.split(C.q);
  constexpr RowSplit k_split = C.split(C.k);
  constexpr u32 pairs = q_split.pairs_per_thread;
  constexpr u32 k_chunks = C.k.heads == 0 ? 1 : k_split.chunks();
  alignas(16) __shared__ float cosines[Angles::jobs];
  alignas(16) __shared__ float sines[Angles::jobs];

  const u32 count = count_tokens<C>(params);
  const u32 first_in_slab = blockIdx.x * C.threads / Angles::items;
  const u32 slab = blockIdx.y * params.tokens_per_slab;
  // A thread's jobs are pairs of the block's tokens: asked for before the elements.
  i64 job_position[Angles::rounds];
  u64 job_step[Angles::rounds];
#pragma unroll
  for (u32 r = 0; r < Angles::rounds; ++r) {
    const u32 job = r * C.threads + threadIdx.x;
    const u32 in_slab = first_in_slab + job / C.pairs();
    const u32 pair = job % C.pairs();
    const bool wanted = job < Angles::jobs && in_slab < params.tokens_per_slab && slab + in_slab < count;
    job_position[r] = wanted ? position_of_job<C>(params, data, slab + in_slab, pair) : 0;
    job_step[r] = load_readonly(data.steps + pair);
  }

  const u32 index = blockIdx.x * C.threads + threadIdx.x;
  const u32 in_slab = index / Angles::items;
  const u32 number = slab + in_slab;
  u32 item = index - in_slab * Angles::items;
  const bool is_k = C.k.heads != 0 && item >= q_split.items();
  bool works = in_slab < params.tokens_per_slab && number < count && !(is_k && params.k.out == nullptr);
  if (is_k) item -= q_split.items();
  Token token{};
  Share share{};
  HeldWords<C> word;
  bool rotates = false;
  if (works) {
    token = token_of(params, number);
    share = share_of<C>(params, is_k, token);
    works = C.k_rows == CacheRows::none || share.out != nullptr;
    share.group = is_k ? item / k_chunks : item / q_split.chunks();
    share.chunk = is_k ? item % k_chunks : item % q_split.chunks();
    rotates = works && share.chunk < q_split.rotating_chunks;
    if (rotates) load_share<C>(share, word);
  }

#pragma unroll
  for (u32 r = 0; r < Angles::rounds; ++r) {
    const u32 job = r * C.threads + threadIdx.x;
    if (job < Angles::jobs) {
      const CosSin turn = turn_of<C>(job_position[r], job_step[r], data.attention_scale);
      cosines[job] = turn.cos;
      sines[job] = turn.sin;
    }
  }
  __syncthreads();
  if (!works) return;
  if (!rotates) {
    copy_share<C>(share);
    return;
  }
  CosSin turn[pairs];
  const u32 first = (in_slab - first_in_slab) * C.pairs() + share.chunk * pairs;
  const auto& cosine = *reinterpret_cast<const NeighbourFloats<pairs>*>(cosines + first);
  const auto& sine = *reinterpret_cast<const NeighbourFloats<pairs>*>(sines + first);
#pragma unroll
  for (u32 i = 0; i < pairs; ++i) turn[i] = {cosine.value[i], sine.value[i]};
  bool padded = false;
  if constexpr (C.padding != Padding::rotate) {
    i64 position[C.axes];
    positions_of<C>(params, token.sequence, token.place, position);
    padded = is_padding<C>(position);
  }
  store_share<C>(share, word, turn, padded);
}

}  // namespace ropejit
