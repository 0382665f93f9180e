// The part of a class's variants that is worth measuring.
#pragma once

#include <string>
#include <vector>

#include "codegen/variant.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// Legal variants among which sweeps of the whole space (an H100, bench/results) found the fastest, or one within 1 %
/// of it (in three of a hundred cells 2 to 3 %), in variant_space's order: some forty of its several hundred. Never
/// empty.
std::vector<Variant> candidate_variants(const KernelClass& kernel_class);

/// Empty when `variant`, which must be of variant_space, is a candidate, else why it is not, in one line.
std::string why_not_candidate(const KernelClass& kernel_class, const Variant& variant);

}  // namespace ropejit::internal
