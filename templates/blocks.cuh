// What every kernel does: deals its blocks out to q and to k, each of which has code of its own.
#pragma once

#include "angle.cuh"

namespace ropejit {

template <KernelConfig C, class Family>
__device__ __forceinline__ void rotate_numbered(const LaunchParams& params, const PlanData& data, u32 block) {
  if constexpr (C.k.heads != 0) {
    if (block >= params.q_blocks) {
      Family::template rotate_block<C, Operand::k>(params, data, block - params.q_blocks);
      return;
    }
  }
  Family::template rotate_block<C, Operand::q>(params, data, block);
}

template <KernelConfig C, class Family>
__device__ __forceinline__ void run_blocks(const LaunchParams& params, const PlanData& data) {
  if constexpr (C.overlaps_previous) {
    // Every block pays for it: many small ones more than the next launch gains.
    if (gridDim.x <= 1024) let_next_kernel_start();
    wait_for_last_kernel();
  }
  if constexpr (C.persistent) {
    for (u32 block = blockIdx.x; block < params.blocks; block += gridDim.x) {
      rotate_numbered<C, Family>(params, data, block);
    }
  } else {
    rotate_numbered<C, Family>(params, data, blockIdx.x);
  }
}

}  // namespace ropejit
