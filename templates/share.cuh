// One thread's share of one token: which heads of which tensor, and which chunk of their rows (row_split.cuh); and the
// steps that every family is made of: load, turn, store.
#pragma once

#include "pairs.cuh"
#include "positions.cuh"
#include "table.cuh"

namespace ropejit {

// One token of a launch.
struct Token {
  u32 number;  // among all sequences' tokens
  u32 sequence;
  u32 place;  // in its sequence
};

__device__ __forceinline__ Token token_of(const LaunchParams& params, u32 number) {
  Token token;
  token.number = number;
  token.sequence = params.sequence.multiplier == 0
                       ? number
                       : multiply_high(number, params.sequence.multiplier) >> params.sequence.shift;
  token.place = number - token.sequence * params.sequence.divisor;
  return token;
}

template <KernelConfig C>
__device__ __forceinline__ u32 count_tokens(const LaunchParams& params) {
  if constexpr (!C.counted) return params.tokens;
  const i64 count = load_position32(params.token_count, 0);
  return count < 0 ? 0 : count < params.tokens ? static_cast<u32>(count) : params.tokens;
}

struct Share {
  bool is_k;
  const char* in;      // lane 0 of head 0 of the token
  char* out;           // null: nothing is written
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

// The row of the cache that the token's k goes to; -1: none.
template <KernelConfig C>
__device__ __forceinline__ i64 cache_row(const LaunchParams& params, u32 token) {
  const i64 row =
      C.k_rows == CacheRows::rows32 ? load_position32(params.k_rows, token) : load_position64(params.k_rows, token);
  if (row >= 0 && row < params.k_cache_rows) return row;
  if (row != -1 && params.flags != nullptr) set_bits(params.flags, NoCacheRow);
  return -1;
}

// `group` and `chunk` are for the caller to fill in.
template <KernelConfig C>
__device__ __forceinline__ Share share_of(const LaunchParams& params, bool is_k, const Token& token) {
  constexpr RowSplit q_split = C.split(C.q);
  constexpr RowSplit k_split = C.split(C.k);
  constexpr i64 in_bytes = C.element_bytes();
  const i64 out_bytes = is_k ? bytes_of(C.k.element_out) : bytes_of(C.q.element_out);
  const TensorStrides& q = params.q_strides;
  const TensorStrides& k = params.k_strides;
  Share share;
  share.is_k = is_k;
  share.in = static_cast<const char*>(is_k ? params.k.in : params.q.in);
  share.out = static_cast<char*>(is_k ? params.k.out : params.q.out);
  share.in_lane_stride = in_bytes;
  share.out_lane_stride = out_bytes;
  if constexpr (C.strides == Strides::contiguous) {
    const u32 row = is_k ? C.k.heads * C.k.head_dim : C.q.heads * C.q.head_dim;
    share.in += static_cast<u64>(token.number) * (row * static_cast<u32>(in_bytes));
    share.out += static_cast<u64>(token.number) * (row * static_cast<u32>(out_bytes));
    share.in_head_stride = (is_k ? C.k.head_dim : C.q.head_dim) * in_bytes;
    share.out_head_stride = (is_k ? C.k.head_dim : C.q.head_dim) * out_bytes;
  } else {
    const u32 sequence = token.sequence;
    const u32 place = token.place;
    share.in += (sequence * (is_k ? k.in_batch : q.in_batch) + place * (is_k ? k.in_token : q.in_token)) * in_bytes;
    share.out +=
        (sequence * (is_k ? k.out_batch : q.out_batch) + place * (is_k ? k.out_token : q.out_token)) * out_bytes;
    share.in_head_stride = (is_k ? k.in_head : q.in_head) * in_bytes;
    share.out_head_stride = (is_k ? k.out_head : q.out_head) * out_bytes;
  }
  if constexpr (C.strides == Strides::any) {
    share.in_lane_stride = (is_k ? k.in_lane : q.in_lane) * in_bytes;
    share.out_lane_stride = (is_k ? k.out_lane : q.out_lane) * out_bytes;
  }
  if constexpr (C.k_rows != CacheRows::none) {
    if (is_k) {
      constexpr i64 contiguous_row = static_cast<i64>(C.k.heads) * C.k.head_dim;
      const i64 row = cache_row<C>(params, token.number);
      const i64 stride = C.strides == Strides::contiguous ? contiguous_row : k.out_token;
      share.out = row < 0 ? nullptr : static_cast<char*>(params.k.out) + row * stride * out_bytes;
    }
  }
  share.heads = is_k ? C.k.heads : C.q.heads;
  share.groups = is_k ? k_split.groups : q_split.groups;
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
  if (layout == Layout::interleaved) return first_lane + chunk * (2 * pairs) + w * word_lanes;
  if (layout == Layout::split_half) return first_lane + chunk * pairs + w * C.pairs();
  const u32 section = chunk * pairs / C.section_pairs;  // whose lanes begin at twice its first pair
  return first_lane + chunk * pairs + section * C.section_pairs + w * C.section_pairs;
}

template <KernelConfig C>
using HeldWords = Word<C.access_bytes>[C.heads_per_thread][C.split(C.q).words_per_thread];

template <KernelConfig C>
__device__ __forceinline__ void load_share(const Share& share, HeldWords<C>& word) {
  constexpr RowSplit split = C.split(C.q);
#pragma unroll
  for (u32 h = 0; h < C.heads_per_thread; ++h) {
    const u32 head = share.group + h * share.groups;
    if (has_head<C>(share, h)) {
#pragma unroll
      for (u32 w = 0; w < split.words_per_thread; ++w) {
        const u32 lane = rotating_lane<C>(C.layout, split.word_lanes, share.first_lane, share.chunk, w);
        word[h][w] = load_word<C.access_bytes>(share.in + head * share.in_head_stride + lane * share.in_lane_stride);
      }
    }
  }
}

template <KernelConfig C, Element out, u32 pairs>
__device__ __forceinline__ void store_share_as(const Share& share, const HeldWords<C>& word,
                                               const CosSin (&turn)[pairs], bool padded) {
  constexpr RowSplit split = C.split(C.q);
#pragma unroll
  for (u32 h = 0; h < C.heads_per_thread; ++h) {
    const u32 head = share.group + h * share.groups;
    if (has_head<C>(share, h)) {
      char* const at = share.out + head * share.out_head_stride;
      // Words that stay as they are are not unpacked: a NaN would lose its payload.
      if constexpr (C.padding == Padding::keep && C.layout_out == C.layout && out == C.element) {
        if (padded) {
#pragma unroll
          for (u32 w = 0; w < split.words_per_thread; ++w) {
            const u32 lane = rotating_lane<C>(C.layout, split.word_lanes, share.first_lane, share.chunk, w);
            store_word(at + lane * share.out_lane_stride, word[h][w]);
          }
          continue;
        }
      }
      float rotated[2 * pairs];
      rotate<C>(word[h], turn, padded, rotated);
#pragma unroll
      for (u32 w = 0; w < split.out_words_per_thread; ++w) {
        const u32 lane = rotating_lane<C>(C.layout_out, split.out_word_lanes, share.first_lane, share.chunk, w);
        store_lanes<out, split.out_word_lanes>(at + lane * share.out_lane_stride, rotated, w * split.out_word_lanes);
      }
    }
  }
}

// Turns what was loaded and writes it.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void store_share(const Share& share, const HeldWords<C>& word, const CosSin (&turn)[pairs],
                                            bool padded) {
  if constexpr (C.k.heads != 0 && C.k.element_out != C.q.element_out) {
    if (share.is_k) {
      store_share_as<C, C.k.element_out>(share, word, turn, padded);
      return;
    }
  }
  store_share_as<C, C.q.element_out>(share, word, turn, padded);
}

template <KernelConfig C>
__device__ __forceinline__ bool is_padding(const i64 (&position)[C.axes]) {
  return C.padding != Padding::rotate && position[0] < 0;
}

// The turns of the share's own pairs.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void turns_of_share(const LaunchParams& params, const PlanData& data, const Token& token,
                                               const i64 (&position)[C.axes], u32 chunk, CosSin (&turn)[pairs]) {
  if constexpr (C.angles == AngleSource::computed || C.angles == AngleSource::product) {
    computed_turns<C>(position, data, chunk * pairs, turn);
  } else if (!is_padding<C>(position)) {
    table_turns<C>(params, token.sequence, position, data, chunk * pairs, turn);
  } else {
    for (u32 i = 0; i < pairs; ++i) turn[i] = {1.0f, 0.0f};
  }
}

template <KernelConfig C, Element out>
__device__ __forceinline__ void copy_share_as(const Share& share) {
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
      char* const at = share.out + head * share.out_head_stride + lane * share.out_lane_stride;
      if constexpr (out == C.element) {
        store_word(at, word[h]);
      } else {
        float lanes[split.word_lanes];
        unpack<C.element>(word[h], lanes, 0);
        store_lanes<out, split.word_lanes>(at, lanes, 0);
      }
    }
  }
}

// Lanes before and after the rotating ones, counted through without them.
template <KernelConfig C>
__device__ __forceinline__ void copy_share(const Share& share) {
  if constexpr (C.k.heads != 0 && C.k.element_out != C.q.element_out) {
    if (share.is_k) {
      copy_share_as<C, C.k.element_out>(share);
      return;
    }
  }
  copy_share_as<C, C.q.element_out>(share);
}

}  // namespace ropejit
