// BinaryStore: where binaries are kept: the user's directory, which is read and written, and any number of read-only
// ones or bundles (store/bundle/bundle.hpp), which are looked at after it, in order. Bytes only: it knows no plan and
// no device.
//
// Nothing that goes wrong here is an error for the caller: a read is a hit or a miss with its reason, a write succeeds
// or says why not. Thread-safe, and safe beside other processes on the same directories: an entry is published by
// rename, complete or not at all. A look-up costs the same whatever the number of entries. Copies are the same store.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/entry.hpp"
#include "store/file/ops.hpp"
#include "store/key_lock.hpp"
#include "store/manifest.hpp"
#include "store/prune.hpp"
#include "store/store_options.hpp"
#include "store/tier.hpp"

namespace ropejit::internal {

/// What is wrong with a whole tier.
struct TierFault {
  std::string path;
  std::string reason;       ///< in one line
  bool is_written = false;  ///< the tier is the user's, where binaries were to be kept

  /// "nothing in PATH serves: REASON", or "nothing in PATH serves, and binaries are not kept: REASON".
  std::string text() const;
};

class BinaryStore {
 public:
  /// The user's directory is created (mode 0700, parents too) at the first write. Empty: nothing is kept.
  explicit BinaryStore(StoreOptions options);
  /// Works with system calls of the caller's, which must outlive the store: for tests that make them fail.
  BinaryStore(StoreOptions options, const FileOps& ops);
  /// A store of one directory, under the default trust and limits.
  explicit BinaryStore(std::string directory);
  BinaryStore(std::string directory, const FileOps& ops);

  const std::string& directory() const { return options().directory; }
  const StoreOptions& options() const;

  /// Reads and verifies the entry whose key preimage is this text, from the first directory that has it. A damaged one
  /// is a miss; in the user's directory it is moved into quarantine, and the next write takes its place.
  ReadResult read(std::string_view key_preimage) const;

  /// Publishes an entry in the user's directory, replacing one of the same key, and prunes that directory where that is
  /// due. Empty on success, else what failed, in one line; no partial file stays behind. Where there is no directory,
  /// or it is sealed, nothing is kept, which is no failure.
  std::string write(const Entry& entry) const;

  /// Takes the lock of a key, so that one process compiles it and others read what it wrote; read again after waiting.
  /// Waits for `bound` at most (lock_timeout() is what the user wants), and never fails otherwise than by saying so.
  KeyLock lock(std::string_view key_preimage, std::chrono::milliseconds bound) const;

  /// Every entry of every directory, in their order, sorted by key in each; those that cannot be used are listed with
  /// their problem, and so is, without a key, a file in a directory's place that is no bundle to be used. Reads all of
  /// them.
  std::vector<EntryListing> list() const;

  /// The tuning records of every directory, in their order; those that have none too.
  std::vector<TierRecords> records() const;

  /// The tiers, the user's directory first where there is one. Valid as long as the store, or a copy of it.
  std::vector<const Tier*> tiers() const;

  /// The tiers of which nothing serves, in their order: unusable ones, and read-only ones where nothing is. That the
  /// user's directory is not there, or has no manifest where one is trusted, is no fault: nothing was kept yet.
  std::vector<TierFault> faults() const;

  /// Prunes the user's directory, now, by these limits; or removes everything in it but tuning records.
  Pruned prune(const Limits& limits) const;
  Pruned clear() const;

 private:
  struct Stack;
  std::shared_ptr<const Stack> stack_;
};

}  // namespace ropejit::internal
