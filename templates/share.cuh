// One thread's share of one token: one chunk of the rows of a head group (row_split.cuh), where it is read and written;
// and the steps that every family is made of: load, turn, store.
#pragma once

#include "pairs.cuh"
#include "positions.cuh"
#include "table.cuh"

namespace ropejit {

// Steps are in bytes.
template <KernelConfig C, Operand O>
struct Share {
  u32 group;
  u32 chunk;
  const char* in;  // the chunk's first word in the group's first head
  char* out;       // null: nothing is written
  i64 in_head_step;
  i64 in_word_step;
  i64 out_head_step;
  i64 out_word_step;
};

template <KernelConfig C>
__device__ constexpr u32 lanes_per_rotating_chunk(Layout layout) {
  return (layout == Layout::interleaved ? 2 : 1) * C.split(Operand::q).pairs_per_thread;
}

// The row of the cache that the token's k goes to; -1: none.
template <KernelConfig C>
__device__ __forceinline__ i64 cache_row(const LaunchParams& params, u32 token) {
  const i64 row =
      C.k_rows == CacheRows::rows32 ? load_position32(params.k_rows, token) : load_position64(params.k_rows, token);
  if (row >= 0 && row < params.k_cache_rows) return row;
  if (row != -1 && params.flags != nullptr) set_bits(params.flags, NoCacheRow);
  return -1;
}

// The lane at which a chunk begins.
template <KernelConfig C, Operand O>
__device__ __forceinline__ u32 first_lane_of(Layout layout, u32 chunk) {
  constexpr RowSplit row = C.split(O);
  constexpr u32 first_rotating = C.shape(O).first_lane;
  if (row.copying_chunks > 0 && chunk >= row.rotating_chunks) {
    // Lanes before and after the rotating ones, counted through without them.
    const u32 lane = (chunk - row.rotating_chunks) * row.copy_lanes;
    return lane >= first_rotating ? lane + C.rotary_dim : lane;
  }
  const u32 lane = first_rotating + chunk * lanes_per_rotating_chunk<C>(layout);
  if (layout != Layout::split_sections) return lane;
  return lane + chunk * row.pairs_per_thread / C.section_pairs * C.section_pairs;
}

// Lanes from one word of a rotating chunk to the next.
template <KernelConfig C>
__device__ __forceinline__ u32 lanes_between_words(Layout layout, u32 word_lanes) {
  if (layout == Layout::interleaved) return word_lanes;
  return layout == Layout::split_half ? C.pairs() : C.section_pairs;
}

struct HeadsAndLanes {
  u64 offset;  // of the share's first word from head 0, lane 0 of its token; these in bytes
  i64 head_step;
  i64 word_step;
};

// `head` and `lane` are strides in elements; not read where they are known.
template <KernelConfig C, Operand O>
__device__ __forceinline__ HeadsAndLanes heads_and_lanes(Layout layout, u32 word_lanes, u32 bytes, i64 head, i64 lane,
                                                         u32 group, u32 chunk) {
  constexpr RowSplit row = C.split(O);
  const u32 first = first_lane_of<C, O>(layout, chunk);
  const u32 between = lanes_between_words<C>(layout, word_lanes);
  if constexpr (C.strides == Strides::contiguous) {
    const u32 head_bytes = C.shape(O).head_dim * bytes;
    return {group * head_bytes + first * bytes, row.groups * head_bytes, between * bytes};
  } else {
    const i64 lane_bytes = C.strides == Strides::any ? lane * bytes : bytes;
    const i64 head_bytes = head * bytes;
    return {static_cast<u64>(group * head_bytes + first * lane_bytes), row.groups * head_bytes, between * lane_bytes};
  }
}

// By rows, the caller sets the chunk, and the share anew for each.
template <KernelConfig C, Operand O>
__device__ __forceinline__ Share<C, O> share_of(const LaunchParams& params, const Token& token, u32 group, u32 chunk) {
  constexpr RowSplit row = C.split(O);
  constexpr OperandShape shape = C.shape(O);
  constexpr u32 in_bytes = C.element_bytes();
  constexpr u32 out_bytes = bytes_of(shape.element_out);
  const TensorStrides& strides = O == Operand::q ? params.q_strides : params.k_strides;
  // Of whole tokens.
  u64 in = token.number * static_cast<u64>(shape.heads * shape.head_dim * in_bytes);
  u64 out = token.number * static_cast<u64>(shape.heads * shape.head_dim * out_bytes);
  if constexpr (C.strides != Strides::contiguous) {
    in = (token.number * static_cast<u64>(strides.in_token) + token.sequence * static_cast<u64>(strides.in_sequence)) *
         in_bytes;
    out =
        (token.number * static_cast<u64>(strides.out_token) + token.sequence * static_cast<u64>(strides.out_sequence)) *
        out_bytes;
  }
  char* const out_base = static_cast<char*>(O == Operand::q ? params.q_out : params.k_out);
  const HeadsAndLanes to = heads_and_lanes<C, O>(C.layout_out, row.out_word_lanes, out_bytes, strides.out_head,
                                                 strides.out_lane, group, chunk);
  if constexpr (C.in_place(O) && C.layout == C.layout_out) {
    char* const at = out_base + static_cast<i64>(out + to.offset);
    return {group, chunk, at, at, to.head_step, to.word_step, to.head_step, to.word_step};
  }
  const char* const in_base =
      C.in_place(O) ? out_base : static_cast<const char*>(O == Operand::q ? params.q_in : params.k_in);
  const HeadsAndLanes from =
      heads_and_lanes<C, O>(C.layout, row.word_lanes, in_bytes, strides.in_head, strides.in_lane, group, chunk);
  char* out_token = out_base + static_cast<i64>(out);
  if constexpr (O == Operand::k && C.k_rows != CacheRows::none) {
    constexpr u32 cache_row_lanes = shape.heads * shape.head_dim;
    const i64 at = cache_row<C>(params, token.number);
    if (at < 0) return {group, chunk, nullptr, nullptr, 0, 0, 0, 0};
    out_token = out_base + at * (C.strides == Strides::contiguous ? cache_row_lanes : strides.out_token) * out_bytes;
  }
  return {group,
          chunk,
          in_base + static_cast<i64>(in + from.offset),
          out_token + static_cast<i64>(to.offset),
          from.head_step,
          from.word_step,
          to.head_step,
          to.word_step};
}

// False where the token's k has no row in the cache.
template <KernelConfig C, Operand O>
__device__ __forceinline__ bool is_written(const Share<C, O>& share) {
  if constexpr (O == Operand::q || C.k_rows == CacheRows::none) return true;
  return share.out != nullptr;
}

// Whether head h of the thread's group exists; known beforehand where heads_per_thread divides the head count.
template <KernelConfig C, Operand O>
__device__ __forceinline__ bool has_head(const Share<C, O>& share, u32 h) {
  constexpr RowSplit row = C.split(O);
  if constexpr (C.shape(O).heads % row.heads_per_thread == 0) return true;
  return share.group + h * row.groups < C.shape(O).heads;
}

template <KernelConfig C, Operand O>
using HeldWords = Word<C.access_bytes>[C.split(O).heads_per_thread][C.split(O).words_per_thread];

template <KernelConfig C, Operand O>
__device__ __forceinline__ void load_share(const Share<C, O>& share, HeldWords<C, O>& word) {
  constexpr RowSplit row = C.split(O);
#pragma unroll
  for (u32 h = 0; h < row.heads_per_thread; ++h) {
    if (has_head(share, h)) {
#pragma unroll
      for (u32 w = 0; w < row.words_per_thread; ++w) {
        word[h][w] = load_word<C.access_bytes>(share.in + h * share.in_head_step + w * share.in_word_step);
      }
    }
  }
}

// Turns what was loaded and writes it.
template <KernelConfig C, Operand O, u32 pairs>
__device__ __forceinline__ void store_share(const Share<C, O>& share, const HeldWords<C, O>& word,
                                            const CosSin (&turn)[pairs], bool padded) {
  constexpr RowSplit row = C.split(O);
  constexpr Element out = C.shape(O).element_out;
#pragma unroll
  for (u32 h = 0; h < row.heads_per_thread; ++h) {
    if (has_head(share, h)) {
      char* const at = share.out + h * share.out_head_step;
      // Words that stay as they are are not unpacked: a NaN would lose its payload.
      if constexpr (C.padding == Padding::keep && C.layout_out == C.layout && out == C.element) {
        if (padded) {
#pragma unroll
          for (u32 w = 0; w < row.words_per_thread; ++w) store_word(at + w * share.out_word_step, word[h][w]);
          continue;
        }
      }
      float rotated[2 * pairs];
      rotate<C>(word[h], turn, padded, rotated);
#pragma unroll
      for (u32 w = 0; w < row.out_words_per_thread; ++w) {
        store_lanes<out, row.out_word_lanes, C.access_bytes>(at + w * share.out_word_step, rotated,
                                                             w * row.out_word_lanes);
      }
    }
  }
}

template <KernelConfig C>
__device__ __forceinline__ bool is_padding(const i64 (&position)[C.axes]) {
  return C.padding != Padding::rotate && position[0] < 0;
}

// The steps of the share's own pairs, of kernels that have any.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ Steps<pairs> steps_of_share(const LaunchParams& params, const PlanData& data, u32 chunk) {
  if constexpr (C.has_steps()) return load_steps<pairs>(params, data, chunk * pairs);
  return {};
}

// The turns of those pairs.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void turns_of_share(const LaunchParams& params, const PlanData& data, const Token& token,
                                               const i64 (&position)[C.axes], const Steps<pairs>& steps, u32 chunk,
                                               CosSin (&turn)[pairs]) {
  if constexpr (C.has_steps()) {
    computed_turns<C>(position, data, steps, chunk * pairs, turn);
  } else if (!is_padding<C>(position)) {
    table_turns<C>(params, token.sequence, position, data, chunk * pairs, turn);
  } else {
    for (u32 i = 0; i < pairs; ++i) turn[i] = {1.0f, 0.0f};
  }
}

template <KernelConfig C, Operand O>
__device__ __forceinline__ bool is_rotating(u32 chunk) {
  constexpr RowSplit row = C.split(O);
  if constexpr (row.copying_chunks == 0) return true;
  return chunk < row.rotating_chunks;
}

// Lanes that do not rotate, of every head of the group.
template <KernelConfig C, Operand O>
__device__ __forceinline__ void copy_share(const Share<C, O>& share) {
  constexpr RowSplit row = C.split(O);
  constexpr Element out = C.shape(O).element_out;
  constexpr u32 bytes = row.copy_lanes * C.element_bytes();
  Word<bytes> word[row.heads_per_thread];
#pragma unroll
  for (u32 h = 0; h < row.heads_per_thread; ++h) {
    if (has_head(share, h)) word[h] = load_word<bytes>(share.in + h * share.in_head_step);
  }
#pragma unroll
  for (u32 h = 0; h < row.heads_per_thread; ++h) {
    if (has_head(share, h)) {
      char* const at = share.out + h * share.out_head_step;
      if constexpr (out == C.element) {
        store_word(at, word[h]);
      } else {
        float lanes[row.copy_lanes];
        unpack<C.element>(word[h], lanes, 0);
        store_lanes<out, row.copy_lanes, C.access_bytes>(at, lanes, 0);
      }
    }
  }
}

}  // namespace ropejit
