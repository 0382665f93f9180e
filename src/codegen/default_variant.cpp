#include "codegen/default_variant.hpp"

#include <llvm/ADT/ArrayRef.h>

#include <algorithm>
#include <bit>

#include "codegen/legality.hpp"
#include "codegen/work.hpp"

namespace ropejit::internal {
namespace {

// Four regimes, by the bytes that a launch moves for each multiprocessor. Measured on an H100 over eleven cases and
// five to seven sizes each (bench/results): nearly everywhere within 1.07 of the best variant, everywhere within 1.15.
//  - a few tokens: as many threads as there can be, each with little to do before its first access;
//  - launches that wait for memory more than they fill it: narrow words and some heads for each angle, so that few
//    instructions come to a pair and there are still enough threads to hide each other's waiting;
//  - launches that the L2 cache holds: as few instructions a pair as registers allow;
//  - beyond it: one head a thread, so that a block's accesses lie together.
struct Regime {
  std::uint64_t from_bytes;  // for each multiprocessor
  std::uint32_t pairs;       // a thread
  std::uint32_t heads;       // a thread
  std::uint32_t threads;     // a block
};
constexpr Regime kRegimes[] = {
    {0, 1, 1, 128},
    {1'200, 2, 4, 128},
    {60'000, 4, 8, 128},
    {330'000, 4, 1, 256},
};
// With norms, which cost instructions of their own, and with slots alone: measured on an H200 over the set "prologue"
// of ropejit_bench, within 1.09 of the best in all of its cells (bench/results/2026-11-30-h200, before rows were handed
// round in shared memory: of those cells heads that rotate in part and interleaved ones are others now). Words of a
// pair of neighbouring lanes, which are added first, so that a row of 128 lanes is a warp's; one head a thread as long
// as launches wait, then four, which share angles, weights and the work on their sums.
constexpr Regime kNormRegimes[] = {
    {0, 2, 1, 128},
    {7'500, 2, 4, 128},
    {200'000, 2, 4, 128},
};
constexpr Regime kAppendRegimes[] = {
    {0, 2, 1, 128},
    {1'200, 2, 4, 128},
};
constexpr std::uint32_t kWarp = 32;
constexpr std::uint32_t kSectorBytes = 32;
constexpr std::uint32_t kMostThreads = 1024;

/// Lanes that rotate side by side do not fill memory's sectors: neighbouring threads then complete each other's.
bool has_ragged_rows(const KernelClass& kernel_class) {
  const bool halves = kernel_class.layout != Layout::interleaved;
  const auto lanes = halves ? kernel_class.section_pairs : kernel_class.rotary_dim;
  return lanes * static_cast<std::uint32_t>(size_of(kernel_class.dtype)) % kSectorBytes != 0;
}

/// Of a class with stages. What was measured is said of Qwen3's kind; others are set beside it by the set "models".
Regime adapted_to_stages(Regime regime, const KernelClass& kernel_class) {
  const PlanOperand& q = kernel_class.operands.front();
  const bool first = regime.from_bytes == 0;
  const bool last = regime.from_bytes >= kNormRegimes[2].from_bytes;
  if (!q.rotates()) return {regime.from_bytes, 4, std::min(regime.heads, 2U), regime.threads};
  const bool rotates_in_part = kernel_class.rotary_dim < q.head_dim;
  // A token's threads stand in one block.
  if (q.is_normed_by_token()) {
    if (rotates_in_part) return {regime.from_bytes, 4, last ? 4U : 2U, last ? 128U : 256U};
    return {regime.from_bytes, last ? 4U : 2U, 8, 128};
  }
  // Where most lanes do not rotate, a row's threads have enough of those: narrow words, so that there are more of them.
  if (rotates_in_part) {
    const bool mostly_still = 4 * kernel_class.rotary_dim <= q.head_dim;
    const bool fills_threads = std::has_single_bit(kernel_class.pairs());
    const std::uint32_t pairs = !mostly_still || (last && fills_threads) ? 4 : first ? 1 : 2;
    return {regime.from_bytes, pairs, std::min(regime.heads, 2U), regime.threads};
  }
  // Weights of each head are read for every token, in wide words.
  const bool weighs_heads = q.is_normed() && q.norm.weights == NormWeight::heads;
  const bool interleaved = kernel_class.layout == Layout::interleaved;
  if (weighs_heads && !interleaved && !first) {
    regime.pairs = last ? 8 : 4;
    regime.threads = last ? 128 : 256;
  }
  if (interleaved && !first) {
    // Lanes that have turned are handed round as numbers, fewer of them at once.
    regime = !last              ? Regime{regime.from_bytes, 2, 2, 128}
             : q.norms_turned() ? Regime{regime.from_bytes, 2, 8, 256}
                                : Regime{regime.from_bytes, 4, 4, 128};
  }
  // A warp holds a row; and where rows leave some of its threads idle, fewer are idle with wider words, from where
  // memory is the limit.
  const std::uint32_t chunks = kernel_class.pairs() / regime.pairs;
  const bool idle = !std::has_single_bit(chunks) && last;
  if (idle || chunks > kWarp) regime.pairs = std::max(regime.pairs, 4U);
  if (kernel_class.pairs() / regime.pairs > kWarp) {
    regime.pairs = 8;
    if (last) regime = {regime.from_bytes, 8, 4, 256};
  }
  return regime;
}

llvm::ArrayRef<Regime> regimes_of(const KernelClass& kernel_class) {
  if (kernel_class.is_staged()) return kNormRegimes;
  if (kernel_class.is_prologue()) return kAppendRegimes;
  return kRegimes;
}

Regime adapted(Regime regime, const KernelClass& kernel_class) {
  if (kernel_class.is_staged()) return adapted_to_stages(regime, kernel_class);
  const bool small = regime.from_bytes < kRegimes[2].from_bytes;
  // Threads that copy lanes too have enough to do with fewer heads.
  const PlanOperand& q = kernel_class.operands.front();
  const bool copies = q.writes_whole_rows() && kernel_class.rotary_dim < q.head_dim;
  if (copies) regime.heads = std::max(regime.heads / 4, 1U);
  if (!small && has_ragged_rows(kernel_class)) {
    regime.pairs = copies ? 1 : 2;
    regime.heads = 1;
  }
  if (kernel_class.by_rows() && regime.pairs > 2 && regime.heads > 1) regime.pairs = 2;
  // Without heads to share an angle with, more pairs make up for what every thread does once.
  const bool one_head =
      llvm::all_of(kernel_class.operands, [](const PlanOperand& one) { return !one.rotates() || one.heads == 1; });
  if (one_head && regime.pairs > 1) regime.pairs = 4;
  // Registers: words of fp32 are twice as long.
  if (kernel_class.dtype == DType::fp32 && regime.heads > 4) regime.heads /= 2;
  return regime;
}

/// The same of a class with a norm over the token, all of whose threads stand in one block: the smallest block that
/// holds a token, of as many heads a thread as the regime has where they fit.
Variant variant_for_tokens(const KernelClass& kernel_class, Variant variant) {
  const std::uint32_t usual = variant.access_bytes;
  const std::uint32_t usual_heads = variant.heads_per_thread;
  const auto element = static_cast<std::uint32_t>(size_of(kernel_class.dtype));
  for (; variant.threads <= kMostThreads; variant.threads *= 2) {
    for (const std::uint32_t access : {usual, 2 * usual, 4 * usual, usual / 2, usual / 4}) {
      variant.access_bytes = std::clamp(access, element, 16U);
      for (const std::uint32_t heads : {usual_heads, usual_heads / 2, 2 * usual_heads, 16U, 1U}) {
        variant.heads_per_thread = std::max(heads, 1U);
        if (why_illegal(kernel_class, variant).empty()) return variant;
      }
    }
  }
  return universal_variant(kernel_class);
}

/// The legal variant closest to a regime from below.
Variant variant_for(const KernelClass& kernel_class, const Regime& regime) {
  const auto element = static_cast<std::uint32_t>(size_of(kernel_class.dtype));
  const std::uint32_t words = kernel_class.layout == Layout::interleaved ? 1 : 2;  // a thread's, for one head
  Variant variant{Family::flat, std::min(16U, regime.pairs * 2 / words * element), regime.heads, regime.threads};
  if (kernel_class.is_normed_by_token()) return variant_for_tokens(kernel_class, variant);
  while (variant.access_bytes > element &&
         !why_illegal(kernel_class, {Family::flat, variant.access_bytes, 1, 128}).empty()) {
    variant.access_bytes /= 2;
  }
  while (variant.heads_per_thread > 1 && !why_illegal(kernel_class, variant).empty()) --variant.heads_per_thread;
  // Where a row is read whole before it is written, enough threads to hold it.
  if (kernel_class.by_rows() && kernel_class.pairs() > kMostThreads) {
    variant = {Family::flat, 16, 1, kMostThreads / 2};
    while (variant.access_bytes > element && !why_illegal(kernel_class, variant).empty()) variant.access_bytes /= 2;
    return variant;
  }
  while (variant.threads < kMostThreads && rounds_of_rows(kernel_class, work_of(kernel_class, variant)) > 1) {
    variant.threads *= 2;
  }
  // Once more, as more threads leave each fewer registers; before them, heads decide how many there are.
  while (variant.heads_per_thread > 1 && !why_illegal(kernel_class, variant).empty()) --variant.heads_per_thread;
  // Rows that are handed round, of the widest heads, leave room for fewer of them.
  while (variant.threads > kWarp && !why_illegal(kernel_class, variant).empty()) variant.threads /= 2;
  return variant;
}

}  // namespace

std::vector<VariantChoice> default_variants(const KernelClass& kernel_class, std::uint32_t multiprocessors) {
  std::vector<VariantChoice> choices;
  for (const Regime& regime : regimes_of(kernel_class)) {
    const Variant variant = variant_for(kernel_class, adapted(regime, kernel_class));
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

const Variant& variant_at(const std::vector<VariantChoice>& choices, std::int64_t tokens) {
  const Variant* variant = &choices.front().variant;
  for (const VariantChoice& choice : choices) {
    if (choice.min_tokens <= tokens) variant = &choice.variant;
  }
  return *variant;
}

std::vector<VariantChoice> serving_variants(const RotationPlan& plan, std::uint32_t multiprocessors) {
  std::vector<VariantChoice> choices = default_variants(plan.kernel_class, multiprocessors);
  choices.push_back({0, universal_variant(plan.kernel_class)});
  for (VariantChoice& choice : choices) choice.variant.buffered_steps = plan.needs_length;
  return choices;
}

}  // namespace ropejit::internal
