// What serves a size that nobody has tuned.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/variant.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// From min_tokens tokens on, until the next row, `variant` serves.
struct VariantChoice {
  std::int64_t min_tokens = 0;
  Variant variant;
};

/// The default rows, at least one and few, as each is a binary that `get` prepares. The first has min_tokens 0.
std::vector<VariantChoice> default_variants(const KernelClass& kernel_class, std::uint32_t multiprocessors);

/// The variant of the row of `choices` (by min_tokens, at least one) that serves `tokens`.
const Variant& variant_at(const std::vector<VariantChoice>& choices, std::int64_t tokens);

/// All that a kernel of the plan is made of: the default variants, and the universal entry last. Their steps are
/// buffered where the plan has none of its own.
std::vector<VariantChoice> serving_variants(const RotationPlan& plan, std::uint32_t multiprocessors);

}  // namespace ropejit::internal
