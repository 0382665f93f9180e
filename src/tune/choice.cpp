#include "tune/choice.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "codegen/kernel_source.hpp"
#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "ropejit/version.hpp"

namespace ropejit::internal {
namespace {

/// Within these a launch is of a size that was tuned.
constexpr double kExactOctaves = 1;
constexpr int kOctaves = 31;
constexpr std::int64_t kEnd = std::int64_t{1} << kOctaves;

/// Where rows may begin: between whole octaves, and where the defaults do.
std::vector<std::int64_t> row_starts(const std::vector<VariantChoice>& defaults) {
  std::set<std::int64_t> starts = {0};
  for (int octave = 1; octave < kOctaves; ++octave) {
    starts.insert(static_cast<std::int64_t>(std::ceil(std::exp2(octave - 0.5))));
  }
  for (const VariantChoice& choice : defaults) starts.insert(choice.min_tokens);
  return {starts.begin(), starts.end()};
}

std::vector<std::optional<Advice>> advice_at(const KernelClass& kernel_class, const DeviceKey& device,
                                             const RecordSet& records, const std::vector<std::int64_t>& tokens) {
  return records.nearest(device, kernel_class, static_cast<std::int64_t>(bytes_per_token(kernel_class)), tokens);
}

bool is_exact(const Advice& advice) { return advice.own_class && advice.octaves <= kExactOctaves; }

}  // namespace

DeviceKey device_key_of(const Target& target) {
  const MemoryTraits memory = target.memory();
  return {target.arch(), target.multiprocessors(), memory.clock_mhz, memory.bus_bits, memory.l2_bytes};
}

std::vector<ServingChoice> serving_choices(const RotationPlan& plan, const DeviceKey& device,
                                           std::uint32_t multiprocessors, const RecordSet& records) {
  const KernelClass& kernel_class = plan.kernel_class;
  const std::vector<VariantChoice> defaults = default_variants(kernel_class, multiprocessors);
  const std::vector<std::int64_t> starts = row_starts(defaults);
  std::vector<std::int64_t> middles;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::int64_t end = i + 1 < starts.size() ? starts[i + 1] : kEnd;
    const std::int64_t first = std::max<std::int64_t>(starts[i], 1);
    // The middle of an octave is its power of two; where a default's row cuts the octave, the nearest to that.
    const auto power = std::int64_t{1} << std::lround(std::log2(static_cast<double>(first)));
    middles.push_back(std::clamp(power, first, std::max(end - 1, first)));
  }
  const std::vector<std::optional<Advice>> all = advice_at(kernel_class, device, records, middles);
  std::vector<ServingChoice> choices;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    ServingChoice choice;
    choice.min_tokens = starts[i];
    choice.variant = variant_at(defaults, middles[i]);
    if (const auto& advice = all[i]) {
      choice.variant = *parse_variant(advice->record.variant);
      choice.by = is_exact(*advice) ? ChosenBy::exact : ChosenBy::near;
      choice.octaves = advice->octaves;
      choice.tuned_tokens = advice->record.tokens;
    }
    if (!choices.empty() && choices.back().variant == choice.variant && choices.back().by == choice.by) {
      choices.back().octaves = std::max(choices.back().octaves, choice.octaves);
    } else {
      choices.push_back(choice);
    }
  }
  ServingChoice universal;
  universal.variant = universal_variant(kernel_class);
  choices.push_back(universal);
  for (ServingChoice& choice : choices) choice.variant.buffered_steps = plan.needs_length;
  return choices;
}

std::vector<std::int64_t> untuned_sizes(const KernelClass& kernel_class, const DeviceKey& device,
                                        const RecordSet& records, const std::vector<std::int64_t>& sizes) {
  const std::vector<std::optional<Advice>> all = advice_at(kernel_class, device, records, sizes);
  std::vector<std::int64_t> left;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (!all[i] || !is_exact(*all[i])) left.push_back(sizes[i]);
  }
  return left;
}

std::vector<std::int64_t> sizes_without_record(const KernelClass& kernel_class, const DeviceKey& device,
                                               const RecordSet& records, const std::vector<std::int64_t>& sizes) {
  const std::string hash = kernel_class.hash();
  std::vector<std::int64_t> left = sizes;
  std::erase_if(left, [&](std::int64_t tokens) { return records.find(device, hash, tokens) != nullptr; });
  return left;
}

std::vector<TuningRecord> records_of(const Target& target, const KernelClass& kernel_class, const TuneResult& result) {
  std::vector<TuningRecord> records;
  for (const TunedSize& size : result.sizes) {
    if (!size.winner) continue;
    TuningRecord record;
    record.device = device_key_of(target);
    record.kernel_class = kernel_class.hash();
    record.kin = kin_of(kernel_class);
    record.what = kernel_class.text();
    record.bytes_per_token = static_cast<std::int64_t>(bytes_per_token(kernel_class));
    record.tokens = size.tokens;
    record.variant = to_string(*size.winner);
    record.us = size.us;
    record.copy_us = size.copy_us;
    record.spread_us = size.spread_us;
    record.cold = size.cold;
    record.templates = templates_digest();
    record.version = ROPEJIT_VERSION;
    record.compiler = result.compiler;
    record.gpu = target.name();
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace ropejit::internal
