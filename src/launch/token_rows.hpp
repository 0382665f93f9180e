// The usual launch's tensors: a token's heads and lanes are one row without gaps, and rows are all the same distance
// apart, as in contiguous tensors and in q and k packed into one. What the general checks (launch_arguments.cpp) find
// out about any tensors in some hundred nanoseconds is here a matter of a few comparisons.
#pragma once

#include "launch/launch_arguments.hpp"

namespace ropejit::internal {

/// Fills in what the launch reads and writes and how it is aligned. False, and nothing is said about the tensors, where
/// any is not of this kind, is missing or too many, or where anything could be wrong: ask the general checks.
/// `out.tokens` is known and not 0.
bool fill_token_rows(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

}  // namespace ropejit::internal
