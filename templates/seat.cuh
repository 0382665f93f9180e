// Which part of its block's work is a thread's: which token, and which item of it (row_split.cuh).
#pragma once

#include "launch_params.cuh"
#include "primitives.cuh"

namespace ropejit {

// One token of a launch.
struct Token {
  u32 number;  // among all sequences' tokens
  u32 sequence;
  u32 place;  // in its sequence
};

// Most launches are plain, and wait neither for a division nor for the line of parameters that it needs.
__device__ __forceinline__ Token token_of(const LaunchParams& params, u32 number) {
  Token token{number, 0, number};
  if (params.plain == 0) {
    stay_a_branch();
    token.sequence = params.sequence.multiplier == 0
                         ? number
                         : multiply_high(number, params.sequence.multiplier) >> params.sequence.shift;
    token.place = number - token.sequence * params.sequence.divisor;
  }
  return token;
}

template <KernelConfig C>
__device__ __forceinline__ u32 count_tokens(const LaunchParams& params) {
  if constexpr (!C.counted) return params.tokens;
  const i64 count = load_position32(params.token_count, 0);
  return count < 0 ? 0 : count < params.tokens ? static_cast<u32>(count) : params.tokens;
}

struct Seat {
  bool works;    // false: nothing to read or write, though there may be angles to work out for others
  u32 in_block;  // its token, among the block's
  u32 number;    // its token, among all
  u32 item;
};

// `block` is counted among the operand's blocks.
template <KernelConfig C, u32 O>
__device__ __forceinline__ Seat seat_of(u32 block, u32 count) {
  constexpr BlockSplit cut = C.block(O);
  Seat seat{true, 0, block, threadIdx.x};
  if constexpr (cut.parts > 1) {
    seat.number = block / cut.parts;
    seat.item += (block - seat.number * cut.parts) * cut.per_token;
  } else if constexpr (cut.tokens > 1) {
    seat.in_block = threadIdx.x / cut.per_token;
    seat.number = block * cut.tokens + seat.in_block;
    seat.item -= seat.in_block * cut.per_token;
  }
  if constexpr (cut.threads() < C.threads()) seat.works = threadIdx.x < cut.threads();
  if constexpr (cut.parts * cut.per_token > cut.items) seat.works = seat.works && seat.item < cut.items;
  if constexpr (cut.tokens > 1 || C.counted) seat.works = seat.works && seat.number < count;
  return seat;
}

}  // namespace ropejit
