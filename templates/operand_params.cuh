// The parameters of an operand by its number: those of the first two stand by their names in LaunchParams.
#pragma once

#include "config.cuh"

namespace ropejit {

template <u32 O>
__device__ __forceinline__ const OperandParams& more_params(const LaunchParams& params) {
  return static_cast<const MoreLaunchParams&>(params).more[O - 2];
}

template <u32 O>
__device__ __forceinline__ const TensorStrides& strides_of(const LaunchParams& params) {
  if constexpr (O == 0) {
    return params.q_strides;
  } else if constexpr (O == 1) {
    return params.k_strides;
  } else {
    return more_params<O>(params).strides;
  }
}

template <u32 O>
__device__ __forceinline__ const char* input_of(const LaunchParams& params) {
  if constexpr (O == 0) {
    return static_cast<const char*>(params.q_in);
  } else if constexpr (O == 1) {
    return static_cast<const char*>(params.k_in);
  } else {
    return static_cast<const char*>(more_params<O>(params).in);
  }
}

template <u32 O>
__device__ __forceinline__ char* output_of(const LaunchParams& params) {
  if constexpr (O == 0) {
    return static_cast<char*>(params.q_out);
  } else if constexpr (O == 1) {
    return static_cast<char*>(params.k_out);
  } else {
    return static_cast<char*>(more_params<O>(params).out);
  }
}

template <u32 O>
__device__ __forceinline__ const NormParams& norm_params(const LaunchParams& params) {
  return static_cast<const PrologueParams&>(params).norm[O];
}

template <u32 O>
__device__ __forceinline__ const PagesParams& pages_params(const LaunchParams& params) {
  return static_cast<const PrologueParams&>(params).pages[O];
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
