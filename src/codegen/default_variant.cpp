#include "codegen/default_variant.hpp"

#include <algorithm>

#include "codegen/legality.hpp"

namespace ropejit::internal {
namespace {

// Three regimes, by the bytes that a launch moves for each multiprocessor; measured on an H100 over eight shapes and
// seven sizes (bench/results), where each choice stays within 1.13 of the best variant:
//  - small launches are latency: many narrow threads;
//  - launches that the L2 cache holds are bound by it and by arithmetic: angles shared by many heads;
//  - larger ones are bound by memory: one head a thread, so that a block's accesses lie together.
struct Regime {
  std::uint64_t from_bytes;  // for each multiprocessor
  std::uint32_t pairs;       // a thread
  std::uint32_t heads;       // a thread
  std::uint32_t threads;     // a block
};
constexpr Regime kRegimes[] = {
    {0, 2, 2, 128},
    {53'000, 4, 8, 128},
    {230'000, 4, 1, 256},
};

/// The legal variant closest to a regime from below.
Variant variant_for(const KernelClass& kernel_class, const Regime& regime) {
  const auto element = static_cast<std::uint32_t>(size_of(kernel_class.dtype));
  const std::uint32_t words = kernel_class.layout == Layout::interleaved ? 1 : 2;  // a thread's, for one head
  Variant variant{Family::flat, std::min(16U, regime.pairs * 2 / words * element), regime.heads, regime.threads};
  while (variant.access_bytes > element &&
         !why_illegal(kernel_class, {Family::flat, variant.access_bytes, 1, 128}).empty()) {
    variant.access_bytes /= 2;
  }
  while (variant.heads_per_thread > 1 && !why_illegal(kernel_class, variant).empty()) --variant.heads_per_thread;
  return variant;
}

/// Read and written for one token.
std::uint64_t bytes_per_token(const KernelClass& kernel_class) {
  std::uint64_t bytes = 0;
  for (const PlanOperand& operand : {kernel_class.q, kernel_class.k}) {
    const std::uint64_t lanes = operand.in_place() ? kernel_class.rotary_dim : operand.head_dim;
    bytes +=
        operand.heads * lanes * static_cast<std::uint64_t>(size_of(kernel_class.dtype) + size_of(operand.dtype_out));
  }
  return bytes;
}

}  // namespace

std::vector<VariantChoice> default_variants(const KernelClass& kernel_class, std::uint32_t multiprocessors) {
  std::vector<VariantChoice> choices;
  for (const Regime& regime : kRegimes) {
    const Variant variant = variant_for(kernel_class, regime);
    if (!choices.empty() && choices.back().variant == variant) continue;
    const std::uint64_t from_bytes = regime.from_bytes * std::max(multiprocessors, 1U);
    const std::uint64_t each = bytes_per_token(kernel_class);
    const auto from_tokens = static_cast<std::int64_t>((from_bytes + each - 1) / each);
    // Where one token already fills the next regime, the earlier one never serves.
    if (from_tokens <= 1) choices.clear();
    choices.push_back({from_tokens <= 1 ? 0 : from_tokens, variant});
  }
  return choices;
}

std::vector<VariantChoice> serving_variants(const RotationPlan& plan, std::uint32_t multiprocessors) {
  std::vector<VariantChoice> choices = default_variants(plan.kernel_class, multiprocessors);
  choices.push_back({0, universal_variant(plan.kernel_class)});
  for (VariantChoice& choice : choices) choice.variant.buffered_steps = plan.needs_length;
  return choices;
}

}  // namespace ropejit::internal
