// The part of a class's variants that is worth measuring.
#pragma once

#include <vector>

#include "codegen/variant.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// Legal variants among which sweeps of the whole space (an H100, bench/results) found the fastest or one within 1 % of
/// it, in variant_space's order: some hundred of its several hundred. Never empty.
std::vector<Variant> candidate_variants(const KernelClass& kernel_class);

}  // namespace ropejit::internal
