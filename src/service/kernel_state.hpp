// What one RopeKernel handle shares with its copies: the kernel, and how its get came by it.
#pragma once

#include <memory>
#include <vector>

#include "launch/step_buffers.hpp"
#include "service/kernel_cell.hpp"

namespace ropejit::internal {

struct KernelState {
  std::shared_ptr<const KernelCell> cell;
  std::vector<ResolvedSteps> lengths;  ///< by up_to, where the scaling depends on a length
  RopeSpec spec;
  LaunchForm form;
  const Served* at_get = nullptr;  ///< what served when this handle was made
  KernelInfo info;                 ///< of that, as this get came by it
};

}  // namespace ropejit::internal
