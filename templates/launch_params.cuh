// What every kernel takes, by value. Shared by device code and by the library's host code: plain fixed-width
// members, no includes, the same layout on both sides.
#pragma once

namespace ropejit {

struct TensorParams {
  const void* in;
  void* out;  // null: this operand is left out of the launch
};

// In elements. The contiguous kernels read none of them.
struct TensorStrides {
  long long in_batch;
  long long in_token;
  long long in_head;
  long long in_lane;
  long long out_batch;
  long long out_token;
  long long out_head;
  long long out_lane;
};

// n / divisor for n below 2^31, as one multiply-high and a shift (Granlund and Montgomery, PLDI 1994). With
// l = ceil(log2(divisor)): multiplier = floor(2^(31+l) / divisor) + 1 and shift = l - 1. A divisor of 1 has
// multiplier 0, which stands for "n itself".
struct FastDivisor {
  unsigned divisor;
  unsigned multiplier;
  unsigned shift;
};

// Bits of LaunchParams::flags: kNoTableRow and kNoCacheRow of ropejit/tensor.hpp.
enum : unsigned { NoTableRow = 1, NoCacheRow = 2 };

// What every kernel reads comes first, and together: a small launch waits for each line of parameters that it touches.
struct LaunchParams {
  TensorParams q;
  TensorParams k;
  unsigned tokens;           // of all sequences together, below 2^31
  unsigned tokens_per_slab;  // gridDim.y counts slabs of this many tokens, so that thread indices fit 32 bits
  FastDivisor sequence;      // divides a token's number into sequence and place in it
  unsigned ragged_sequences;
  const void* position_ids;  // null where positions count up from first_position
  long long position_batch_stride;
  long long position_token_stride;
  long long first_position;
  const int* cu_seqlens;  // of ragged sequences: their first tokens, and one past the last
  const void* table_cos;  // the caller's table, of kernels that read one; see AngleSource in config.cuh
  const void* table_sin;
  long long table_batch_stride;
  long long table_row_stride;
  long long table_rows;             // a position outside [0, table_rows) has no row: its token comes out NaN
  const unsigned long long* steps;  // of variants that do not embed them: one a pair, then the scale's fp32 bits
  long long position_axis_stride;
  unsigned ranks;  // of context parallelism
  unsigned rank;
  const void* k_rows;      // for each token its row of the cache, -1: none
  long long k_cache_rows;  // numbers outside [0, k_cache_rows) but -1 are reported
  const int* token_count;  // of counted kernels
  unsigned* flags;         // null, or where to report: NoTableRow and NoCacheRow
  TensorStrides q_strides;
  TensorStrides k_strides;
};

}  // namespace ropejit
