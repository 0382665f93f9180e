// Every kernel deals its blocks out to its operands, each of which has code of its own.
#pragma once

#include "copy.cuh"

namespace ropejit {

// Runs a block of one operand; `block` is counted among its own.
template <KernelConfig C, class Family, u32 O>
__device__ __forceinline__ void run_own_block(const LaunchParams& params, const PlanData& data, u32 block) {
  if constexpr (C.rotates(O) || C.is_staged(O)) {
    Family::template rotate_block<C, O>(params, data, block);
  } else {
    copy_block<C, O>(params, block);
  }
}

// Runs a block of operand O, the third or a later one, or of an operand after it.
template <KernelConfig C, class Family, u32 O>
__device__ __forceinline__ void run_later_block(const LaunchParams& params, const PlanData& data, u32 block) {
  if constexpr (O + 1 < C.operands) {
    if (block >= first_block_of<C, O + 1>(params)) {
      run_later_block<C, Family, O + 1>(params, data, block);
      return;
    }
  }
  run_own_block<C, Family, O>(params, data, block - first_block_of<C, O>(params));
}

// Runs a block of any operand. The first two operands, which most kernels have alone, stand here side by side: were
// they nested one in the other, compilers would give their registers other numbers.
template <KernelConfig C, class Family>
__device__ __forceinline__ void run_block(const LaunchParams& params, const PlanData& data, u32 block) {
  if constexpr (C.operands > 2) {
    if (block >= first_block_of<C, 2>(params)) {
      run_later_block<C, Family, 2>(params, data, block);
      return;
    }
  }
  if constexpr (C.operands > 1) {
    if (block >= params.q_blocks) {
      run_own_block<C, Family, 1>(params, data, block - params.q_blocks);
      return;
    }
  }
  run_own_block<C, Family, 0>(params, data, block);
}

// Whether a family waits by itself, once it has asked for all that was there before (LaunchForm::ready_lists).
template <KernelConfig C, class Family>
__device__ constexpr bool waits_late() {
  return C.ready_lists && Family::reads_lists_first;
}

template <KernelConfig C, class Family>
__device__ __forceinline__ void run_blocks(const LaunchParams& params, const PlanData& data) {
  if constexpr (C.overlaps_previous) {
    // Every block pays for it: many small blocks pay more than the next launch gains.
    if (gridDim.x <= 1024) let_next_kernel_start();
    if constexpr (!waits_late<C, Family>()) wait_for_last_kernel();
  }
  run_block<C, Family>(params, data, blockIdx.x);
}

}  // namespace ropejit
