// What a service knows of tuning: records shipped with the library, those of read-only cache directories and bundles,
// the user's own in the cache directory, and those that it made itself.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/kernel_source.hpp"
#include "service/events.hpp"
#include "spec/plan.hpp"
#include "store/store.hpp"
#include "support/per_process.hpp"
#include "tune/record_set.hpp"

namespace ropejit::internal {

/// The files of cache/records/, embedded when the library was built: {"h100.jsonl", text}.
std::span<const TextFile> shipped_records();

/// Thread-safe. A child of fork has of its parent's records what is in the files.
class RecordShelf {
 public:
  /// `store`: whose directories and bundles have records. It and `events` must outlive the shelf.
  RecordShelf(const BinaryStore& store, Events& events);

  /// What is known of a class on a device, and of its kin where that is not enough. Of one key, what this service tuned
  /// goes before the user's file, that before those of the read-only directories and bundles in their order, and these
  /// before what was shipped; but pinned ones go before all. Warns of directories and bundles of which nothing serves.
  RecordSet about(const DeviceKey& device, const KernelClass& kernel_class) const;

  /// Keeps records here and in the user's file. What goes wrong with the file is a warning.
  void add(const std::vector<TuningRecord>& records);

 private:
  const BinaryStore& store_;
  Events& events_;
  PerProcess<RecordSet> own_;
};

}  // namespace ropejit::internal
