// Where a token stands: from a start, an id on each axis, its sequence's offset, or cu_seqlens.
#pragma once

#include "seat.cuh"

namespace ropejit {

// Where in the whole sequence the token stands that is at `place` of this rank's part of `length` tokens. A zig-zag
// part is two chunks of the 2 * ranks: number `rank`, and the one as far from the end.
template <KernelConfig C>
__device__ __forceinline__ i64 place_in_sequence(const LaunchParams& params, u32 place, u32 length) {
  if constexpr (C.context_parallel == ContextParallel::contiguous) {
    return place + static_cast<i64>(params.rank) * length;
  } else if constexpr (C.context_parallel == ContextParallel::zigzag) {
    const i64 chunk = length / 2;
    return place + (place < chunk ? params.rank : 2 * static_cast<i64>(params.ranks) - 2 - params.rank) * chunk;
  } else {
    return place;
  }
}

// The first of this rank's tokens of ragged sequence `sequence`.
template <KernelConfig C>
__device__ __forceinline__ i64 first_of_sequence(const LaunchParams& params, u32 sequence) {
  const i64 first = load_position32(params.cu_seqlens, sequence);
  if constexpr (C.context_parallel == ContextParallel::none) return first;
  return first < 0 ? first : static_cast<u32>(first) / params.ranks;
}

// A token of ragged sequences: which one it is in, and its position.
struct RaggedPlace {
  u32 sequence;
  i64 position;
};

// Of token `place` of all sequences: it is in the last sequence that begins at or before it. Whatever cu_seqlens holds,
// only its elements are read.
template <KernelConfig C>
__device__ __forceinline__ RaggedPlace ragged_place(const LaunchParams& params, u32 place) {
  u32 low = 0;
  u32 high = params.ragged_sequences;
  i64 first = first_of_sequence<C>(params, 0);
  while (high - low > 1) {
    const u32 middle = low + (high - low) / 2;
    const i64 begin = first_of_sequence<C>(params, middle);
    if (begin <= place) {
      low = middle;
      first = begin;
    } else {
      high = middle;
    }
  }
  const i64 offset = params.position_ids == nullptr ? 0 : load_position32(params.position_ids, low);
  if constexpr (C.context_parallel == ContextParallel::none) return {low, place - first + offset};
  const i64 end = first_of_sequence<C>(params, low + 1);
  return {low, offset + place_in_sequence<C>(params, static_cast<u32>(place - first), static_cast<u32>(end - first))};
}

// A token's positions, one an axis. Returns the sequence that it is in.
template <KernelConfig C>
__device__ __forceinline__ u32 positions_of(const LaunchParams& params, const Token& token, i64 (&position)[C.axes]) {
  constexpr bool offset = C.positions == PositionSource::offsets32 || C.positions == PositionSource::offsets64;
  if constexpr (C.positions == PositionSource::start) {
    position[0] = params.first_position + place_in_sequence<C>(params, token.place, params.sequence.divisor);
  } else if constexpr (C.positions == PositionSource::ragged) {
    const RaggedPlace place = ragged_place<C>(params, token.number);
    position[0] = place.position;
    return place.sequence;
  } else {
    u64 index = offset ? 0 : token.number;
    if (params.plain == 0) {
      stay_a_branch();
      // Unsigned arithmetic, as what a sequence stride takes back may overflow on the way.
      index = token.number * static_cast<u64>(params.position_token_stride) +
              token.sequence * static_cast<u64>(params.position_sequence_stride);
    }
    constexpr bool narrow = C.positions == PositionSource::ids32 || C.positions == PositionSource::offsets32;
#pragma unroll
    for (u32 a = 0; a < C.axes; ++a) {
      const i64 at = static_cast<i64>(a == 0 ? index : index + a * static_cast<u64>(params.position_axis_stride));
      position[a] = narrow ? load_position32(params.position_ids, at) : load_position64(params.position_ids, at);
    }
    if constexpr (offset) {
      position[0] += place_in_sequence<C>(params, token.place, params.sequence.divisor);
    }
  }
  return token.sequence;
}

}  // namespace ropejit
