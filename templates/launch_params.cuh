// The parameters that every kernel takes, by value. Shared by device code and by the library's host code: plain
// fixed-width members, no includes, the same layout on both sides.
#pragma once

namespace ropejit {

// Strides are in elements. A sequence stride is what a token gains by standing one sequence later, beyond the token
// stride: 0 where sequences follow one another as their tokens do. The contiguous kernels read none of them.
struct TensorStrides {
  long long in_sequence;
  long long in_token;
  long long in_head;
  long long in_lane;
  long long out_sequence;
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

// What most kernels read comes first, and together: a small launch waits for each line of parameters that it touches.
// Lines are 64 bytes, and the first has room for 48.
struct LaunchParams {
  void* q_out;
  void* k_out;
  const void* position_ids;         // null where positions count up from first_position
  const unsigned long long* steps;  // one a pair, or null: those built into the kernel
  unsigned tokens;                  // of all sequences together, below 2^31
  unsigned q_blocks;                // blocks below this number work on q, the others on k
  unsigned plain;                   // 1: sequence 0, place and index among the position ids are a token's own number
  unsigned third_block;             // of prologues: blocks from this number on work on the third operand
  const void* q_in;                 // in place this is q_out; the same for k
  const void* k_in;
  FastDivisor sequence;             // divides a token's number into sequence and place in it
  float scale;                      // the attention scale, for variants that do not embed it
  long long position_token_stride;  // in elements, as the sequence stride of TensorStrides
  long long position_sequence_stride;
  long long first_position;
  const int* cu_seqlens;  // of ragged sequences: their first tokens, and one past the last
  unsigned ragged_sequences;
  unsigned ranks;  // of context parallelism
  unsigned rank;
  const void* table_cos;  // the caller's table, of kernels that read one; see AngleSource in config.cuh
  const void* table_sin;
  long long table_batch_stride;
  long long table_row_stride;
  long long table_rows;  // a position outside [0, table_rows) has no row: its token comes out NaN
  long long position_axis_stride;
  const void* k_rows;      // for each token the row of the cache that its k goes to, -1: none
  long long k_cache_rows;  // numbers outside [0, k_cache_rows) but -1 are reported
  const int* token_count;  // of counted kernels
  unsigned* flags;         // null, or where to report: NoTableRow and NoCacheRow
  TensorStrides q_strides;
  TensorStrides k_strides;
};

// The most operands that a kernel has: q and k, whose parameters stand above, and those beyond them.
enum : unsigned { MostOperands = 4 };

// The parameters of one operand, as the members of LaunchParams that begin with q_ or k_.
struct OperandParams {
  void* out;
  const void* in;
  const void* rows;
  long long cache_rows;
  TensorStrides strides;
  unsigned first_block;  // blocks from this number on, below the next operand's first, work on it
};

// What kernels of more than two operands take.
struct MoreLaunchParams : LaunchParams {
  OperandParams more[MostOperands - 2];
};

// n / divisor for n below 2^63, likewise: with l = ceil(log2(divisor)), multiplier = floor(2^(63+l) / divisor) + 1 and
// shift = l - 1. A divisor of 1 has multiplier 0, which stands for "n itself".
struct LongDivisor {
  long long divisor;
  unsigned long long multiplier;
  unsigned shift;
};

// What a block of one operand of a prologue reads, beside the first line of LaunchParams: a line of 64 bytes, and a
// second one for an operand that goes to pages. What is seldom read, or by the generic kernel alone, stands where it
// does for other kernels.
struct OperandLines {
  void* out;
  const void* in;
  const void* weight;  // of its norm, head_dim of them
  long long in_token;  // strides, as TensorStrides
  long long in_head;
  long long out_token;  // of pages from a place to the next
  long long out_head;
  float eps;
  unsigned unused;
  const void* slots;
  long long capacity;  // places of all pages
  long long page_stride;
  LongDivisor block_size;  // places of a page
  long long slot_count;    // tokens from this number on have no slot
  long long slot_stride;   // elements of the list from a token to the next
};

// What kernels take whose operands have a norm, or go to pages.
struct PrologueParams : MoreLaunchParams {
  long long gap[2];  // so that the lines are lines: the first of all has room for 48 bytes
  OperandLines lines[MostOperands];
};
static_assert(sizeof(OperandLines) == 128 && (sizeof(MoreLaunchParams) + 16) % 64 == 48, "");

// Where the tokens of an operand are written that goes to a cache and to a tensor beside it. Its strides are as the
// outer ones of TensorStrides.
struct BesideStore {
  void* out;
  long long sequence;
  long long token;
  long long head;
  long long lane;
};

// What kernels take of which an operand, k, is written to a tensor beside its cache. Its lines are full, so this is a
// line of its own, behind them.
struct BesideParams : PrologueParams {
  BesideStore beside;
};
static_assert(sizeof(BesideStore) <= 64, "");

// r of an operand's heads where it is no register's alone: read by kernels that are given it, written by those that
// hand it out. Strides are in elements. Half a line, so that no operand's lies on two.
struct OperandStatistic {
  void* data;
  long long token;
  long long head;
  long long unused;
};

// What kernels take some of whose norms are given their statistics or hand them out: lines of their own behind all
// others, as of BesideParams.
struct StatisticParams : BesideParams {
  long long statistic_gap[3];  // up to the next line
  OperandStatistic statistic[MostOperands];
};
static_assert(sizeof(OperandStatistic) == 32 && (sizeof(BesideParams) + 24) % 64 == 48, "");

// What the stages of an operand read beside its lanes: a line of 64 bytes. Numbers of the plan among it, so that
// binaries do not depend on them.
struct StageNumbers {
  const void* bias;          // [heads, head_dim] of the class's element
  const void* norm_bias;     // as many as weights
  const float* head_scales;  // [heads]
  LongDivisor tau_length;    // the temperature's N
  float tau_coefficient;
  float clamp;
  float scale;
  float norm_share;  // 1 over the lanes of all ranks that a given sum is of
};
static_assert(sizeof(StageNumbers) == 64, "");

// What kernels take with stages that read any of that: lines of their own behind all others, as of StatisticParams.
struct StageParams : StatisticParams {
  StageNumbers numbers[MostOperands];
};
static_assert(sizeof(StatisticParams) % 64 == 48, "");

// What a head of the first operand gains by standing one group later, beyond the strides of heads, in elements.
struct GroupStrides {
  long long in;
  long long out;
};

// What kernels take whose first operand's heads lie in groups, with two strides: a line of its own behind all others.
struct GroupParams : StageParams {
  GroupStrides groups;
};
static_assert(sizeof(StageParams) % 64 == 48, "");

// Where the pages of an operand's cache are that a table names, and which lists say of a token where in it that is
// looked up: a line of 64 bytes. What places and pages are, OperandLines has, as for slots.
struct PageTableLine {
  const int* pages;           // of page lists `entries` of them, of a block table [requests][entries]
  const int* first_entries;   // of page lists: [requests + 1]
  const int* last_lengths;    // of page lists: [requests], or null where last pages are full
  const int* token_requests;  // for each token, where the class has such a list
  const void* token_places;
  long long requests;
  long long entries;
  long long row_stride;  // of a block table
};
static_assert(sizeof(PageTableLine) == 64, "");

// What kernels take of which an operand goes where a page table says: lines of their own behind all others.
struct PageTableParams : GroupParams {
  long long page_table_gap[6];  // up to the next line
  PageTableLine table[MostOperands];
};
static_assert((sizeof(GroupParams) + 48) % 64 == 48, "");

// What kernels take two of whose operands are written to tensors beside their caches, or whose k is written in groups
// of lanes: one line more.
struct StoreParams : PageTableParams {
  BesideStore second_beside;
  long long split_stride;  // from a group of lanes to the next, in elements
};
static_assert(sizeof(PageTableParams) % 64 == 48 && sizeof(BesideStore) + 8 <= 64, "");

}  // namespace ropejit
