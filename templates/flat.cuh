// The flat family: every thread computes the angles of its own pairs and uses them for several heads. With scalar
// accesses and run-time strides (Strides::any) it is also the universal entry.
//
// A token's work is q's items, then k's; an item is one chunk of a row for one head group (row_split.cuh). Threads
// are numbered through all items of a slab's tokens without gaps, so no block is left half empty at any size.
// In place is safe because a thread reads every lane that it writes before it writes any, and shares none. That is not
// so where the layout changes in place: there a row belongs to a block (flat_by_rows).
#pragma once

#include "share.cuh"

namespace ropejit {

template <KernelConfig C>
__device__ __forceinline__ void flat_by_items(const LaunchParams& params, const PlanData& data) {
  constexpr RowSplit q_split = C.split(C.q);
  constexpr RowSplit k_split = C.split(C.k);
  constexpr u32 items = C.block().items_per_token;
  constexpr u32 k_chunks = C.k.heads == 0 ? 1 : k_split.chunks();

  const u32 index = blockIdx.x * C.threads + threadIdx.x;
  const u32 in_slab = index / items;
  const u32 number = blockIdx.y * params.tokens_per_slab + in_slab;
  if (in_slab >= params.tokens_per_slab || number >= count_tokens<C>(params)) return;
  u32 item = index - in_slab * items;

  const bool is_k = C.k.heads != 0 && item >= q_split.items();
  if (is_k) {
    if (params.k.out == nullptr) return;
    item -= q_split.items();
  }
  const Token token = token_of(params, number);
  Share share = share_of<C>(params, is_k, token);
  if (C.k_rows != CacheRows::none && share.out == nullptr) return;
  share.group = is_k ? item / k_chunks : item / q_split.chunks();
  share.chunk = is_k ? item % k_chunks : item % q_split.chunks();
  if (share.chunk < q_split.rotating_chunks) {
    // What the angles wait for goes out first: they are worked out while the elements are on their way.
    i64 position[C.axes];
    if constexpr (C.positions != PositionSource::ragged) positions_of<C>(params, token.sequence, token.place, position);
    HeldWords<C> word;
    load_share<C>(share, word);
    if constexpr (C.positions == PositionSource::ragged) positions_of<C>(params, token.sequence, token.place, position);
    CosSin turn[q_split.pairs_per_thread];
    turns_of_share<C>(params, data, token, position, share.chunk, turn);
    store_share<C>(share, word, turn, is_padding<C>(position));
  } else {
    copy_share<C>(share);
  }
}

// A row's threads stand in one block, and read all of it before any of them writes.
template <KernelConfig C>
__device__ __forceinline__ void flat_by_rows(const LaunchParams& params, const PlanData& data) {
  constexpr RowSplit q_split = C.split(C.q);
  constexpr RowSplit k_split = C.split(C.k);
  constexpr BlockSplit block = C.block();

  const u32 in_block = threadIdx.x / block.row_threads;
  const u32 first_chunk = threadIdx.x % block.row_threads;
  const u32 index = blockIdx.x * block.items_per_block + in_block;
  const u32 in_slab = index / block.items_per_token;
  const u32 number = blockIdx.y * params.tokens_per_slab + in_slab;
  const u32 item = index - in_slab * block.items_per_token;
  const bool is_k = C.k.heads != 0 && item >= q_split.groups;
  bool works = in_block < block.items_per_block && in_slab < params.tokens_per_slab &&
               number < count_tokens<C>(params) && !(is_k && params.k.out == nullptr);
  Token token{};
  Share share{};
  HeldWords<C> word[block.rounds];
  if (works) {
    token = token_of(params, number);
    share = share_of<C>(params, is_k, token);
    share.group = is_k ? item - q_split.groups : item;
    works = C.k_rows == CacheRows::none || share.out != nullptr;
  }
  if (works) {
#pragma unroll
    for (u32 r = 0; r < block.rounds; ++r) {
      share.chunk = r * block.row_threads + first_chunk;
      if (share.chunk < q_split.rotating_chunks) load_share<C>(share, word[r]);
    }
  }
  __syncthreads();
  if (!works) return;
  i64 position[C.axes];
  positions_of<C>(params, token.sequence, token.place, position);
#pragma unroll
  for (u32 r = 0; r < block.rounds; ++r) {
    share.chunk = r * block.row_threads + first_chunk;
    if (share.chunk < q_split.rotating_chunks) {
      CosSin turn[q_split.pairs_per_thread];
      turns_of_share<C>(params, data, token, position, share.chunk, turn);
      store_share<C>(share, word[r], turn, is_padding<C>(position));
    }
  }
  const u32 chunks = is_k ? k_split.chunks() : q_split.chunks();
  for (share.chunk = q_split.rotating_chunks + first_chunk; share.chunk < chunks; share.chunk += block.row_threads) {
    copy_share<C>(share);
  }
}

template <KernelConfig C>
__device__ __forceinline__ void flat(const LaunchParams& params, const PlanData& data) {
  if constexpr (C.by_rows()) {
    flat_by_rows<C>(params, data);
  } else {
    flat_by_items<C>(params, data);
  }
}

}  // namespace ropejit
