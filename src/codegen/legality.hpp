// Which variants may serve which class: the one place that decides.
#pragma once

#include <string>
#include <vector>

#include "codegen/variant.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// Empty when `variant` is legal for the class, else the reason in one line.
std::string why_illegal(const KernelClass& kernel_class, const Variant& variant);

/// Every legal variant of the fast families, in a fixed order (simplest first). Never empty. With `wide_accesses` it
/// has those of 32 bytes too, which are legal anywhere and single accesses since sm_100.
std::vector<Variant> variant_space(const KernelClass& kernel_class, bool wide_accesses = false);

/// Empty when variant_space has `variant`, which must be legal, else why it is left out, in one line.
std::string why_not_in_space(const KernelClass& kernel_class, const Variant& variant, bool wide_accesses = false);

/// The variant that serves launches whose tensors break the form's promise. It is legal for every class: where the
/// layout changes in place, a block has room for a whole row.
Variant universal_variant(const KernelClass& kernel_class);

}  // namespace ropejit::internal
