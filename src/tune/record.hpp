// A tuning record: which variant was the fastest for one kernel class, on one kind of device, at one number of tokens.
// The line of text that it is kept as is described in cache/FORMAT.md. Pure and thread-safe.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "spec/plan.hpp"

namespace ropejit::internal {

/// What of a device decides which variant is best: by it records are looked up, never by name. MIG slices differ in
/// multiprocessors and L2 and so have keys of their own.
struct DeviceKey {
  std::string arch;  ///< "sm_90", "host-x86_64"
  std::uint32_t multiprocessors = 0;
  std::uint32_t memory_mhz = 0;
  std::uint32_t memory_bits = 0;  ///< width of the bus
  std::uint64_t l2_bytes = 0;

  friend bool operator==(const DeviceKey&, const DeviceKey&) = default;
  friend auto operator<=>(const DeviceKey&, const DeviceKey&) = default;
};

/// "sm_90/132/2619/5120/52428800".
std::string to_string(const DeviceKey& key);
/// Reads what to_string wrote; nothing for any other text.
std::optional<DeviceKey> parse_device_key(std::string_view text);

/// Times are medians, in microseconds.
struct TuningRecord {
  DeviceKey device;
  std::string kernel_class;          ///< KernelClass::hash()
  std::string kin;                   ///< kin_of(kernel_class)
  std::string what;                  ///< KernelClass::text(): for people
  std::int64_t bytes_per_token = 0;  ///< read and written: what distance between kin is measured by
  std::int64_t tokens = 0;           ///< how many the launches that were timed had
  std::string variant;               ///< "flat_v8_h4_t128": parse_variant reads it
  double us = 0;                     ///< 0: not timed, which a person's choice may be
  double copy_us = 0;                ///< a copy of as many bytes; 0: not timed
  double spread_us = 0;              ///< median absolute deviation of `us`
  bool cold = false;                 ///< tensors were not in L2
  std::string templates;  ///< templates_digest() of the library that tuned: advice from other templates is still advice
  std::string version, compiler, driver, gpu;  ///< for people, but that the higher version settles a disagreement
  bool pinned = false;                         ///< a person chose it: tuning does not replace it
};

/// Classes that differ in their numbers of heads alone have one kin: the hash of the class with one head each (an
/// operand that is absent stays absent). 32 hex digits.
std::string kin_of(const KernelClass& kernel_class);

inline constexpr std::int64_t kRecordVersion = 1;
inline constexpr std::size_t kMaxRecordBytes = std::size_t{1} << 16;

/// One line without its end: a JSON object with "record" first and its keys in a fixed order. Two records are equal if
/// and only if their lines are. Text that is not UTF-8 is repaired. A record that breaks the grammar (no tokens, a time
/// that is no number) becomes a line that parse_record refuses.
std::string to_json_line(const TuningRecord& record);

/// A record, or why the line is not used.
struct RecordLine {
  std::optional<TuningRecord> record;
  std::string problem;  ///< one line, where there is no record
  /// There is no record, but a later library may read one: it has a later version, or names a variant that this library
  /// does not know. Whoever rewrites a file keeps such a line as it is.
  bool keep = false;
};

/// Trusts nothing: malformed, oversized and out-of-range lines come back with a problem. Never throws but bad_alloc.
/// Keys that it does not know are ignored.
RecordLine parse_record(std::string_view line);

}  // namespace ropejit::internal
