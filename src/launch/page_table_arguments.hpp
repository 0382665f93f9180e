// The page tables of a launch, and the lists that say where in them a token is looked up: checked, and turned into
// PageTableParams.
#pragma once

#include "launch/launch_arguments.hpp"

namespace ropejit::internal {

/// Returns null, or what is wrong with them. `out` knows which operands have work. What the lists hold is the kernels'
/// to look at.
const char* fill_page_tables(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

/// Whether a launch brings any of them.
inline bool brings_page_tables(const RopeArgs& args) noexcept {
  return args.k_page_table.pages != nullptr || args.v_page_table.pages != nullptr || args.token_requests != nullptr ||
         args.token_places != nullptr;
}

/// What is wrong with a launch that brings some to a class without pages.
const char* refuse_page_tables(const RopeArgs& args) noexcept;

}  // namespace ropejit::internal
