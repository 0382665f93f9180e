// What one RopeKernel handle shares with its copies: the kernel, and how its get came by it.
#pragma once

#include <memory>

#include "launch/prepared_kernel.hpp"
#include "ropejit/service.hpp"

namespace ropejit::internal {

struct KernelState {
  std::shared_ptr<const PreparedKernel> prepared;
  RopeSpec spec;
  LaunchForm form;
  KernelInfo info;
};

}  // namespace ropejit::internal
