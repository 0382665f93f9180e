// From tuning records to the table that serves launches: the record where one can be trusted, the default elsewhere.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/default_variant.hpp"
#include "ropejit/info.hpp"
#include "target/target.hpp"
#include "tune/record_set.hpp"
#include "tune/tuner.hpp"

namespace ropejit::internal {

DeviceKey device_key_of(const Target& target);

/// A row of the table, and why its variant was chosen.
struct ServingChoice : VariantChoice {
  ChosenBy by = ChosenBy::untuned;
  double octaves = 0;             ///< the farthest that a size of the row is from the launches that were timed
  std::int64_t tuned_tokens = 0;  ///< how many those launches had, for the middle of the row; 0 where untuned
};

/// As serving_variants (codegen/default_variant.hpp), with what the records know: rows by min_tokens, and the universal
/// entry last. Sizes are told apart by half octaves.
std::vector<ServingChoice> serving_choices(const RotationPlan& plan, const DeviceKey& device,
                                           std::uint32_t multiprocessors, const RecordSet& records);

/// The sizes of `sizes` that the records say nothing exact about.
std::vector<std::int64_t> untuned_sizes(const KernelClass& kernel_class, const DeviceKey& device,
                                        const RecordSet& records, const std::vector<std::int64_t>& sizes);

/// The sizes of `sizes` for which the class has no record of its own, at exactly that number of tokens.
std::vector<std::int64_t> sizes_without_record(const KernelClass& kernel_class, const DeviceKey& device,
                                               const RecordSet& records, const std::vector<std::int64_t>& sizes);

/// A record for each size that has a winner.
std::vector<TuningRecord> records_of(const Target& target, const KernelClass& kernel_class, const TuneResult& result);

}  // namespace ropejit::internal
