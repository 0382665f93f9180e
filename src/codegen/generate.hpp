// The compiler's back end: a plan and a variant become source. Pure; knows CUDA's shape and no model.
#pragma once

#include "codegen/kernel_source.hpp"
#include "codegen/variant.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// "rope_split_half_bf16_q32x128_k8x128_r128_inplace_contig_ids64_flat_v16_h8_t128".
std::string entry_name(const KernelClass& kernel_class, const Variant& variant);

/// Sine::polynomial means 1.5e-7; a result of 16 bits, rounded once, asks for less.
bool takes_short_polynomial(const KernelClass& kernel_class);

/// `variant` must be legal for the plan's class (codegen/legality.hpp).
KernelSource generate(const RotationPlan& plan, const Variant& variant);

}  // namespace ropejit::internal
