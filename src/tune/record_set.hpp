// RecordSet: tuning records in order, at most one for each device, class and number of tokens.
//
// What a set holds does not depend on the order in which records came: files of many machines can be merged by anyone,
// in any order, into the same file. Not thread-safe but for reading.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spec/plan.hpp"
#include "tune/record.hpp"

namespace ropejit::internal {

/// How far from the launches that were timed a record is advice, both ends included. In octaves: 2 is a factor of 4,
/// in tokens for the class's own records; 1 is a factor of 2, in bytes moved by the launch for those of its kin.
inline constexpr double kTrustTokens = 2;
inline constexpr double kTrustKin = 1;

/// Whether `a` is kept where both say something about the same launches: the pinned one, else that of the higher
/// version (by the numbers between its dots), else the faster one (one that was not timed is the slowest), else the
/// smaller text of the variant, else of the whole line. A strict order: of two different records exactly one goes
/// before.
bool goes_before(const TuningRecord& a, const TuningRecord& b);

/// What the records say about a launch.
struct Advice {
  TuningRecord record;
  double octaves = 0;      ///< between the launch and those that were timed
  bool own_class = false;  ///< else the record is of its kin
};

class RecordSet {
 public:
  RecordSet() = default;
  /// The set that results when each record is added, and each line kept; for many at once.
  explicit RecordSet(std::vector<TuningRecord> records, std::vector<std::string> kept_lines = {});

  /// Adds a record. Of two of the same key (device, class, tokens), the one that goes before the other is kept.
  void add(TuningRecord record);
  /// Adds a record in the place of one of the same key, whatever their times, for it is newer; but what a person pinned
  /// stays, unless the new one is pinned too.
  void replace(TuningRecord record);
  /// Removes the record of this key; false where there was none.
  bool remove(const DeviceKey& device, std::string_view kernel_class, std::int64_t tokens);
  /// Adds all of `other`, kept lines too.
  void merge(const RecordSet& other);

  /// All records, in order of device, class and tokens.
  const std::vector<TuningRecord>& all() const { return records_; }
  bool empty() const { return records_.empty(); }
  /// The record of exactly this key, or null; valid until the set is changed.
  const TuningRecord* find(const DeviceKey& device, std::string_view kernel_class, std::int64_t tokens) const;
  /// The records of a class on a device, in order of tokens.
  std::vector<TuningRecord> of_class(const DeviceKey& device, const std::string& kernel_class) const;

  /// For each of these numbers of tokens, the record to follow for a launch of so many that moves `bytes_per_token` for
  /// each, or nothing that can be trusted. The class's own come first, the nearest in tokens; else those of kin, the
  /// nearest in bytes. Of equally near ones, that with the nearer bytes_per_token, then the first of all(). Never one
  /// of another device, nor one whose variant is illegal for this class.
  std::vector<std::optional<Advice>> nearest(const DeviceKey& device, const KernelClass& kernel_class,
                                             std::int64_t bytes_per_token,
                                             const std::vector<std::int64_t>& tokens) const;

  /// Lines that a later library wrote and this one cannot read (RecordLine::keep): sorted, each once. They go wherever
  /// the set goes.
  const std::vector<std::string>& kept_lines() const { return kept_lines_; }

 private:
  std::optional<Advice> nearest_of(const DeviceKey& device, const KernelClass& kernel_class, const std::string& own,
                                   const std::string& kin, std::int64_t bytes_per_token, std::int64_t tokens) const;
  void settle();
  void put(TuningRecord record, bool (*goes_instead)(const TuningRecord& record, const TuningRecord& old));

  std::vector<TuningRecord> records_;
  std::vector<std::string> kept_lines_;
};

}  // namespace ropejit::internal
