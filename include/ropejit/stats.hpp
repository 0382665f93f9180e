// ServiceStats: what a service has done so far, in numbers.
#pragma once

#include <cstdint>
#include <string>

#include "ropejit/export.hpp"

namespace ropejit {
inline namespace v0 {

/// Counts since the service was made, in a child of fork since the fork; handles that share its state share them. Each
/// is right by itself; together they are a snapshot of a moment only while nothing is going on. Binaries are counted
/// one by one: a kernel has several.
struct ServiceStats {
  std::uint64_t gets = 0;             ///< calls of RopeService::get that returned a kernel
  std::uint64_t gets_failed = 0;      ///< calls of it that threw
  std::uint64_t memory_hits = 0;      ///< gets whose kernel this service had, or another thread was making
  std::uint64_t disk_hits = 0;        ///< binaries read from the cache directory
  std::uint64_t shared_hits = 0;      ///< binaries read from a read-only directory or bundle
  std::uint64_t buffered_hits = 0;    ///< those of the two above of a class, which read the plan's steps from a buffer
  std::uint64_t compiles = 0;         ///< binaries compiled
  std::uint64_t compiles_failed = 0;  ///< compilers missing, or sources refused
  std::uint64_t generic_kernels = 0;  ///< kernels that the generic one serves, at least in part
  std::uint64_t waits = 0;            ///< binaries that another process had compiled by the time their lock was had
  std::uint64_t waits_timed_out = 0;  ///< locks that another process kept for longer than is waited
  std::uint64_t entries_refused = 0;  ///< entries not trusted, damaged, or refused by the driver
  std::uint64_t entries_quarantined = 0;  ///< damaged ones of those, which were moved aside
  std::uint64_t entries_written = 0;      ///< entries written to the cache directory
  std::uint64_t writes_failed = 0;        ///< entries that could not be kept
  std::uint64_t bytes_read = 0;           ///< bytes of the entries read
  std::uint64_t bytes_written = 0;        ///< bytes of the entries written
  std::uint64_t classes_tuned = 0;        ///< kernel classes that tuning was done for
  std::uint64_t kernels_forgotten = 0;    ///< kernels let go, by forget or for ServiceOptions::most_kernels
  std::uint64_t warnings = 0;             ///< lines, each said once
  double compile_ms = 0;                  ///< time of all compiles, added up; they run side by side
  double load_ms = 0;                     ///< time of reading, checking and loading what was found
  double wait_ms = 0;                     ///< time of waiting for other processes' locks
};

/// The counts in the text format of Prometheus, version 0.0.4: "ropejit_compiles_total 5" and so on, with HELP and TYPE
/// lines. `labels` go to every sample as they are: "device=\"0\"". Empty: none.
ROPEJIT_EXPORT std::string prometheus_text(const ServiceStats& stats, const std::string& labels = {});

}  // namespace v0
}  // namespace ropejit
