// Tuning records for people: as a table, and what two sets have of their own.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tune/record_set.hpp"

namespace ropejit::internal {

/// A line for each record, under a line of headings.
std::string records_table(const std::vector<TuningRecord>& records);

/// The number of records: "1 record", "12 records".
std::string count_of(std::size_t records);

/// "sm_90/132/2619/5120/52428800 0123456789ab 4,096 tokens": device, class and tokens.
std::string place_of(const TuningRecord& record);

/// "flat_v16_h8_t128, 12.5 us, pinned".
std::string choice_of(const TuningRecord& record);

struct RecordsComparison {
  std::vector<TuningRecord> only_a;
  std::vector<TuningRecord> only_b;
  std::vector<std::pair<TuningRecord, TuningRecord>> other_variants;  ///< the same launches, another variant
  std::size_t same_variant = 0;
};
RecordsComparison compare(const RecordSet& a, const RecordSet& b);

}  // namespace ropejit::internal
