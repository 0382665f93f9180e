// Included before generated source when it is compiled for the host target: CUDA's words, in terms of host_thread.cuh.
// A block's threads are fibers of one system thread, so what a block shares is thread_local.
#pragma once

#define ROPEJIT_HOST_TARGET 1

#include "host_thread.cuh"

namespace ropejit {
static thread_local HostThread* host_self = nullptr;
}

// The library calls this whenever it switches to another simulated thread.
extern "C" __attribute__((visibility("default"))) void ropejit_host_bind(ropejit::HostThread* self) {
  ropejit::host_self = self;
}

#define __global__ __attribute__((visibility("default")))
#define __device__
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define threadIdx (ropejit::host_self->thread)
#define blockIdx (ropejit::host_self->block)
#define blockDim (ropejit::host_self->block_dim)
#define gridDim (ropejit::host_self->grid_dim)

inline void __syncthreads() { ropejit::host_self->services->block_barrier(ropejit::host_self); }
inline void __syncwarp(unsigned = 0xffffffffu) { ropejit::host_self->services->warp_barrier(ropejit::host_self); }

// `width` threads, a power of two, have lanes of their own from 0 on.
template <class T>
inline T __shfl_sync(unsigned, T value, int lane, int width = 32) {
  static_assert(sizeof(T) <= sizeof(unsigned long long));
  unsigned long long bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  const unsigned within = static_cast<unsigned>(width) - 1;
  const unsigned source = (threadIdx.x % 32 & ~within) | (static_cast<unsigned>(lane) & within);
  bits = ropejit::host_self->services->shuffle(ropejit::host_self, bits, source);
  __builtin_memcpy(&value, &bits, sizeof(T));
  return value;
}

template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask) {
  return __shfl_sync(mask, value, static_cast<int>((threadIdx.x % 32) ^ static_cast<unsigned>(lane_mask)));
}
