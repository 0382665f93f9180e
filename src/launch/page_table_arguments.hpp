// The page tables of a launch, and the lists that say where in them a token is looked up: checked, and turned into
// PageTableParams.
#pragma once

#include "launch/launch_arguments.hpp"

namespace ropejit::internal {

/// Returns null, or what is wrong with them; of launches that bring some to a class that has no use for them likewise.
/// `out` knows which operands have work. What the lists hold is the kernels' to look at.
const char* fill_page_tables(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

}  // namespace ropejit::internal
