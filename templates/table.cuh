// Cosines and sines that the caller holds, in the forms that runtimes keep them in (AngleSource in config.cuh). Row p
// of a table belongs to position p; a table gathered for the tokens beforehand has positions 0, 1, 2, ...
#pragma once

#include "angle.cuh"
#include "pairs.cuh"

namespace ropejit {

// Loads `count` table elements that lie together, in words as wide as may be. The universal entry takes them one by
// one; so do tokens with several positions, where neighbouring pairs may read different rows.
template <KernelConfig C, u32 count>
__device__ __forceinline__ void load_table(const char* at, float (&value)[count]) {
  constexpr u32 bytes = access_of(C.reads_table_one_by_one() ? 1 : count, C.table_element_bytes(), C.access_bytes);
  constexpr u32 lanes = bytes / C.table_element_bytes();
#pragma unroll
  for (u32 i = 0; i < count; i += lanes) {
    unpack<C.table_element>(load_word<bytes>(at + i * C.table_element_bytes()), value, i);
  }
}

// Cosines and sines as they stand in the row at byte `row` of the table.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void turns_of_row(const LaunchParams& params, i64 row, u32 first, CosSin (&turn)[pairs]) {
  constexpr u32 bytes = C.table_element_bytes();
  const char* cos = static_cast<const char*>(params.table_cos) + row;
  const char* sin = static_cast<const char*>(params.table_sin) + row;
  if constexpr (C.angles == AngleSource::complex) {
    float both[2 * pairs];
    load_table<C>(cos + 2 * first * bytes, both);
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = {both[2 * i], both[2 * i + 1]};
  } else if constexpr (C.angles == AngleSource::repeated) {
    float cosines[2 * pairs];
    float sines[2 * pairs];
    load_table<C>(cos + 2 * first * bytes, cosines);
    load_table<C>(sin + 2 * first * bytes, sines);
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = {cosines[2 * i], sines[2 * i]};
  } else if constexpr (C.angles == AngleSource::radians) {
    float angles[pairs];
    load_table<C>(cos + first * bytes, angles);
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = cos_sin_of_radians<C.sine>(angles[i]);
  } else {
    float cosines[pairs];
    float sines[pairs];
    load_table<C>(cos + first * bytes, cosines);
    load_table<C>(sin + first * bytes, sines);
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = {cosines[i], sines[i]};
  }
}

// A table's rows have their scale in them; whatever it is, the inverse of [c -s; s c] is [c s; -s c] / (c c + s s).
template <KernelConfig C>
__device__ __forceinline__ CosSin used(CosSin turn, bool turns_back) {
  if constexpr (C.table_use == TableUse::as_given) return turn;
  float length = multiply_add(turn.cos, turn.cos, multiply(turn.sin, turn.sin));
  if constexpr (C.table_use == TableUse::shift) length = square_root(length);
  if (turns_back) turn.sin = -turn.sin;
  return {divide(turn.cos, length), divide(turn.sin, length)};
}

// The turns of neighbouring pairs at one position. A position without a row gives NaN, reads nothing and is reported.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void turns_at(const LaunchParams& params, u32 sequence, i64 position, u32 first,
                                         CosSin (&turn)[pairs]) {
  const bool turns_back = C.table_use == TableUse::shift && position < 0;
  // The number is unsigned: the least i64 has no opposite, and negative numbers are beyond any table.
  const u64 number = turns_back ? -static_cast<u64>(position) : static_cast<u64>(position);
  if (number >= static_cast<u64>(params.table_rows)) {
    if (params.flags != nullptr) set_bits(params.flags, NoTableRow);
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) turn[i] = {float_from_bits(0x7fffffffu), float_from_bits(0x7fffffffu)};
    return;
  }
  const i64 row = sequence * params.table_batch_stride + static_cast<i64>(number) * params.table_row_stride;
  turns_of_row<C>(params, row * C.table_element_bytes(), first, turn);
#pragma unroll
  for (u32 i = 0; i < pairs; ++i) turn[i] = planned<C>(used<C>(turn[i], turns_back), 1.0f);
}

template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void table_turns(const LaunchParams& params, u32 sequence, const i64 (&position)[C.axes],
                                            const PlanData& data, u32 first, CosSin (&turn)[pairs]) {
  if constexpr (C.axes == 1) {
    turns_at<C>(params, sequence, position[0], first, turn);
  } else {
#pragma unroll
    for (u32 i = 0; i < pairs; ++i) {
      CosSin one[1];
      turns_at<C>(params, sequence, position_of_pair<C>(position, data, first + i), first + i, one);
      turn[i] = one[0];
    }
  }
}

}  // namespace ropejit
