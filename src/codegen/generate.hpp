// The compiler's back end: it makes source of a plan and a variant. It is pure, and knows CUDA's shape and no model.
#pragma once

#include "codegen/kernel_source.hpp"
#include "codegen/variant.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// "rope_split_half_bf16_q32x128_k8x128_r128_inplace_ids64_contiguous_flat_v16_h8_t128".
std::string entry_name(const KernelClass& kernel_class, const Variant& variant);

/// `variant` must be legal for the plan's class (codegen/legality.hpp).
KernelSource generate(const RotationPlan& plan, const Variant& variant);

}  // namespace ropejit::internal
