// Tuning records for people: as a table, what two sets have of their own, and a person's choice among them, made or
// taken back.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tune/record_set.hpp"

namespace ropejit::internal {

/// A line for each record, under a line of headings.
std::string records_table(const std::vector<TuningRecord>& records);

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

struct PinChoice {
  std::string class_digits;  ///< the first of a class's hash, four at least
  std::int64_t tokens = 0;
  std::string variant;  ///< parse_variant reads it; with `unpin` empty
  bool unpin = false;
};

/// Changes the records of the class on every device that there are any of: the record of these tokens is pinned, made
/// from the nearest one where there is none; or is no longer pinned, and removed if it was never timed. Returns a line
/// for each. Throws Error{invalid_argument} where the digits do not begin exactly one class, or there is no such pin;
/// nothing is changed then. `path` names the records in the message.
std::string apply_pin(RecordSet& records, const PinChoice& choice, const std::string& path);

}  // namespace ropejit::internal
