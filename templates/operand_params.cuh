// The parameters of an operand by its number. Those of the first two stand by their names in LaunchParams; a prologue
// has what its blocks read first on lines of their own.
#pragma once

#include "config.cuh"

namespace ropejit {

template <u32 O>
__device__ __forceinline__ const OperandParams& more_params(const LaunchParams& params) {
  return static_cast<const MoreLaunchParams&>(params).more[O - 2];
}

template <u32 O>
__device__ __forceinline__ const OperandLines& lines_of(const LaunchParams& params) {
  return static_cast<const PrologueParams&>(params).lines[O];
}

// The first block of the third or a later operand.
template <KernelConfig C, u32 O>
__device__ __forceinline__ u32 first_block_of(const LaunchParams& params) {
  if constexpr (C.is_prologue() && O == 2) {
    return params.third_block;
  } else {
    return more_params<O>(params).first_block;
  }
}

// All strides of an operand as they stand for kernels that are no prologues.
template <u32 O>
__device__ __forceinline__ const TensorStrides& usual_strides_of(const LaunchParams& params) {
  if constexpr (O == 0) {
    return params.q_strides;
  } else if constexpr (O == 1) {
    return params.k_strides;
  } else {
    return more_params<O>(params).strides;
  }
}

template <KernelConfig C, u32 O>
__device__ __forceinline__ decltype(auto) strides_of(const LaunchParams& params) {
  if constexpr (C.is_prologue()) {
    const OperandLines& lines = lines_of<O>(params);
    TensorStrides strides = usual_strides_of<O>(params);
    strides.in_token = lines.in_token;
    strides.in_head = lines.in_head;
    strides.out_token = lines.out_token;
    strides.out_head = lines.out_head;
    return strides;
  } else {
    return usual_strides_of<O>(params);
  }
}

template <KernelConfig C, u32 O>
__device__ __forceinline__ const char* input_of(const LaunchParams& params) {
  if constexpr (C.is_prologue()) {
    return static_cast<const char*>(lines_of<O>(params).in);
  } else if constexpr (O == 0) {
    return static_cast<const char*>(params.q_in);
  } else if constexpr (O == 1) {
    return static_cast<const char*>(params.k_in);
  } else {
    return static_cast<const char*>(more_params<O>(params).in);
  }
}

template <KernelConfig C, u32 O>
__device__ __forceinline__ char* output_of(const LaunchParams& params) {
  if constexpr (C.is_prologue()) {
    return static_cast<char*>(lines_of<O>(params).out);
  } else if constexpr (O == 0) {
    return static_cast<char*>(params.q_out);
  } else if constexpr (O == 1) {
    return static_cast<char*>(params.k_out);
  } else {
    return static_cast<char*>(more_params<O>(params).out);
  }
}

// Whether another operand before it is written to a tensor beside its cache.
template <KernelConfig C, u32 O>
__device__ constexpr bool is_second_beside() {
  for (u32 o = 0; o < O; ++o) {
    if (C.operand[o].beside == Beside::apart) return true;
  }
  return false;
}

// For an operand that is written beside its cache: where.
template <KernelConfig C, u32 O>
__device__ __forceinline__ BesideStore beside_of(const LaunchParams& params) {
  if constexpr (C.operand[O].beside == Beside::in_place) {
    const TensorStrides& strides = strides_of<C, O>(params);
    return {const_cast<char*>(input_of<C, O>(params)), strides.in_sequence, strides.in_token, strides.in_head,
            strides.in_lane};
  } else if constexpr (is_second_beside<C, O>()) {
    return static_cast<const StoreParams&>(params).second_beside;
  } else {
    return static_cast<const BesideParams&>(params).beside;
  }
}

// For an operand whose lanes are written in groups: elements from a group to the next.
__device__ __forceinline__ const i64& split_stride_of(const LaunchParams& params) {
  return static_cast<const StoreParams&>(params).split_stride;
}

// For an operand that goes where a page table says: that.
template <u32 O>
__device__ __forceinline__ const PageTableLine& table_of(const LaunchParams& params) {
  return static_cast<const PageTableParams&>(params).table[O];
}

// For an operand whose heads lie in groups, as the first's may: what a group adds. Otherwise nothing is read.
template <KernelConfig C, u32 O>
__device__ __forceinline__ GroupStrides groups_of(const LaunchParams& params) {
  if constexpr (C.operand[O].group_heads > 0) {
    return static_cast<const GroupParams&>(params).groups;
  } else {
    return {0, 0};
  }
}

// For an operand whose norm is given its statistic or hands it out: where that is in memory.
template <u32 O>
__device__ __forceinline__ const OperandStatistic& statistic_of(const LaunchParams& params) {
  return static_cast<const StatisticParams&>(params).statistic[O];
}

// For an operand with stages that read numbers: those.
template <u32 O>
__device__ __forceinline__ const StageNumbers& numbers_of(const LaunchParams& params) {
  return static_cast<const StageParams&>(params).numbers[O];
}

// For an operand that goes to rows of a cache, as the first never does: the list that names its rows, and how many rows
// the cache has.
template <u32 O>
__device__ __forceinline__ const void* row_list_of(const LaunchParams& params) {
  if constexpr (O == 1) {
    return params.k_rows;
  } else {
    return more_params<O>(params).rows;
  }
}

template <u32 O>
__device__ __forceinline__ const i64& cache_rows_of(const LaunchParams& params) {
  if constexpr (O == 1) {
    return params.k_cache_rows;
  } else {
    return more_params<O>(params).cache_rows;
  }
}

}  // namespace ropejit
