// The flat family: every thread computes the angles of its own pairs and uses them for several heads. With scalar
// accesses and run-time strides (Strides::any) it is also the universal entry.
//
// A token's work is q's items, then k's; an item is one chunk of a row for one head group (row_split.cuh). Threads
// are numbered through all items of a slab's tokens without gaps, so no block is left half empty at any size.
// In place is safe because a thread reads every lane that it writes before it writes any, and shares none.
#pragma once

#include "launch_params.cuh"
#include "pairs.cuh"
#include "table.cuh"

namespace ropejit {

// One thread's share of one token: which heads of which tensor, and which chunk of their rows.
struct Share {
  const char* in;  // lane 0 of head 0 of the token
  char* out;
  i64 in_head_stride;  // strides in bytes
  i64 in_lane_stride;
  i64 out_head_stride;
  i64 out_lane_stride;
  u32 heads;
  u32 groups;
  u32 group;
  u32 chunk;
  u32 first_lane;
};

template <KernelConfig C>
__device__ __forceinline__ Share share_of(const LaunchParams& params, bool is_k, u32 item, u32 token, u32 sequence,
                                          u32 place) {
  constexpr RowSplit q_split = C.split(C.q);
  constexpr RowSplit k_split = C.split(C.k);
  constexpr u32 k_chunks = C.k.heads == 0 ? 1 : k_split.chunks();
  constexpr i64 bytes = C.element_bytes();
  const TensorStrides& q = params.q_strides;
  const TensorStrides& k = params.k_strides;
  Share share;
  share.in = static_cast<const char*>(is_k ? params.k.in : params.q.in);
  share.out = static_cast<char*>(is_k ? params.k.out : params.q.out);
  share.in_lane_stride = share.out_lane_stride = bytes;
  if constexpr (C.strides == Strides::contiguous) {
    const u32 row = is_k ? C.k.heads * C.k.head_dim : C.q.heads * C.q.head_dim;
    const u64 offset = static_cast<u64>(token) * (row * static_cast<u32>(bytes));
    share.in += offset;
    share.out += offset;
    share.in_head_stride = share.out_head_stride = (is_k ? C.k.head_dim : C.q.head_dim) * bytes;
  } else {
    share.in += (sequence * (is_k ? k.in_batch : q.in_batch) + place * (is_k ? k.in_token : q.in_token)) * bytes;
    share.out += (sequence * (is_k ? k.out_batch : q.out_batch) + place * (is_k ? k.out_token : q.out_token)) * bytes;
    share.in_head_stride = (is_k ? k.in_head : q.in_head) * bytes;
    share.out_head_stride = (is_k ? k.out_head : q.out_head) * bytes;
  }
  if constexpr (C.strides == Strides::any) {
    share.in_lane_stride = (is_k ? k.in_lane : q.in_lane) * bytes;
    share.out_lane_stride = (is_k ? k.out_lane : q.out_lane) * bytes;
  }
  share.heads = is_k ? C.k.heads : C.q.heads;
  share.groups = is_k ? k_split.groups : q_split.groups;
  share.group = is_k ? item / k_chunks : item / q_split.chunks();
  share.chunk = is_k ? item % k_chunks : item % q_split.chunks();
  share.first_lane = is_k ? C.k.first_lane : C.q.first_lane;
  return share;
}

// Whether head h of the thread's group exists; known beforehand where heads_per_thread divides both head counts.
template <KernelConfig C>
__device__ __forceinline__ bool has_head(const Share& share, u32 h) {
  if constexpr (C.q.heads % C.heads_per_thread == 0 && C.k.heads % C.heads_per_thread == 0) return true;
  return share.group + h * share.groups < share.heads;
}

// The lane at which word `w` of a rotating chunk starts, in words of `word_lanes`.
template <KernelConfig C>
__device__ __forceinline__ u32 rotating_lane(Layout layout, u32 word_lanes, u32 first_lane, u32 chunk, u32 w) {
  constexpr u32 pairs = C.split(C.q).pairs_per_thread;
  return layout == Layout::split_half ? first_lane + chunk * pairs + w * (C.rotary_dim / 2)
                                      : first_lane + chunk * (2 * pairs) + w * word_lanes;
}

template <KernelConfig C>
__device__ __forceinline__ void rotate_share(const LaunchParams& params, const Share& share, u32 sequence, i64 position,
                                             const u64* steps) {
  constexpr RowSplit split = C.split(C.q);
  constexpr u32 words = split.words_per_thread;
  constexpr u32 out_words = split.out_words_per_thread;
  constexpr u32 out_bytes = split.out_word_lanes * C.element_bytes();
  constexpr u32 pairs = split.pairs_per_thread;

  Word<C.access_bytes> word[C.heads_per_thread][words];
#pragma unroll
  for (u32 h = 0; h < C.heads_per_thread; ++h) {
    const u32 head = share.group + h * share.groups;
    if (has_head<C>(share, h)) {
#pragma unroll
      for (u32 w = 0; w < words; ++w) {
        const u32 lane = rotating_lane<C>(C.layout, split.word_lanes, share.first_lane, share.chunk, w);
        word[h][w] = load_word<C.access_bytes>(share.in + head * share.in_head_stride + lane * share.in_lane_stride);
      }
    }
  }

  CosSin turn[pairs];
  if constexpr (C.angles == AngleSource::computed) {
    computed_turns<C>(position, steps, share.chunk * pairs, turn);
  } else {
    table_turns<C>(params, sequence, position, share.chunk * pairs, turn);
  }

#pragma unroll
  for (u32 h = 0; h < C.heads_per_thread; ++h) {
    const u32 head = share.group + h * share.groups;
    if (has_head<C>(share, h)) {
      Word<out_bytes> rotated[out_words];
      rotate<C>(word[h], turn, rotated);
#pragma unroll
      for (u32 w = 0; w < out_words; ++w) {
        const u32 lane = rotating_lane<C>(C.layout_out, split.out_word_lanes, share.first_lane, share.chunk, w);
        store_word(share.out + head * share.out_head_stride + lane * share.out_lane_stride, rotated[w]);
      }
    }
  }
}

// Lanes before and after the rotating ones, counted through without them.
template <KernelConfig C>
__device__ __forceinline__ void copy_share(const Share& share) {
  constexpr RowSplit split = C.split(C.q);
  u32 lane = (share.chunk - split.rotating_chunks) * split.word_lanes;
  if (lane >= share.first_lane) lane += C.rotary_dim;
  Word<C.access_bytes> word[C.heads_per_thread];
#pragma unroll
  for (u32 h = 0; h < C.heads_per_thread; ++h) {
    const u32 head = share.group + h * share.groups;
    if (has_head<C>(share, h)) {
      word[h] = load_word<C.access_bytes>(share.in + head * share.in_head_stride + lane * share.in_lane_stride);
    }
  }
#pragma unroll
  for (u32 h = 0; h < C.heads_per_thread; ++h) {
    const u32 head = share.group + h * share.groups;
    if (has_head<C>(share, h)) {
      store_word(share.out + head * share.out_head_stride + lane * share.out_lane_stride, word[h]);
    }
  }
}

template <KernelConfig C>
__device__ __forceinline__ void flat(const LaunchParams& params, const u64* steps) {
  constexpr RowSplit q_split = C.split(C.q);
  constexpr RowSplit k_split = C.split(C.k);
  constexpr u32 items = q_split.items() + k_split.items();

  const u32 index = blockIdx.x * C.threads + threadIdx.x;
  const u32 in_slab = index / items;
  const u32 token = blockIdx.y * params.tokens_per_slab + in_slab;
  if (in_slab >= params.tokens_per_slab || token >= params.tokens) return;
  u32 item = index - in_slab * items;

  const bool is_k = C.k.heads != 0 && item >= q_split.items();
  if (is_k) {
    if (params.k.out == nullptr) return;
    item -= q_split.items();
  }

  const u32 sequence = params.sequence.multiplier == 0
                           ? token
                           : multiply_high(token, params.sequence.multiplier) >> params.sequence.shift;
  const u32 place = token - sequence * params.sequence.divisor;
  const Share share = share_of<C>(params, is_k, item, token, sequence, place);
  if (share.chunk < q_split.rotating_chunks) {
    rotate_share<C>(params, share, sequence, position_of<C>(params, sequence, place), steps);
  } else {
    copy_share<C>(share);
  }
}

}  // namespace ropejit
