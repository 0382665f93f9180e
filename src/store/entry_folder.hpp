// EntryFolder: the entries of one cache directory, one self-describing file each. Bytes only: it knows no plan and no
// device. Thread-safe, and safe beside other processes on the same directory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/entry.hpp"
#include "store/file/ops.hpp"
#include "store/manifest.hpp"
#include "store/trust.hpp"
#include "support/per_process.hpp"

namespace ropejit::internal {

struct FileContents;
struct Folder;

class EntryFolder {
 public:
  /// `directory` is the cache's, not empty. `ops` outlives this. A read-only directory is never changed in any way.
  EntryFolder(std::string directory, Trust trust, bool read_only, const FileOps& ops);

  const std::string& directory() const { return directory_; }

  /// Reads and verifies the entry of this preimage. One that is used is stamped, at most once a day; a damaged one is
  /// moved into quarantine.
  ReadResult read(std::string_view key_preimage) const;

  /// Publishes an entry, replacing one of the same key. Empty on success, else what failed, in one line; no partial
  /// file stays behind. A sealed directory keeps nothing and succeeds.
  std::string write(const Entry& entry) const;

  /// Every entry, sorted by key; what cannot be used is listed with its problem. Changes nothing.
  std::vector<EntryListing> list() const;

  /// The keys of all entries, sorted, good or bad: by the names of their files alone. `problem`: one line where the
  /// directory could not be listed, and keys may be missing.
  std::vector<std::string> keys(std::string& problem) const;
  /// Reads and verifies the entry of a key, 64 hex digits. Changes nothing.
  ReadResult read_key(std::string_view key) const;
  /// The text of the directory's tuning records.
  TierRecords records() const;

 private:
  bool may_change() const { return !read_only_ && !trust_.sealed(); }
  std::string each_file(const std::function<void(const Folder& shard, const std::string& key)>& use) const;
  std::optional<Miss> miss_by_seal(std::string_view path, std::string_view bytes) const;
  FileContents file_of(std::string_view key) const;
  ReadResult judge(const FileContents& file, std::string_view key) const;
  void stamp(const FileContents& file) const;
  bool quarantine(const FileContents& file, const std::string& name) const;

  std::string directory_;
  Trust trust_;
  bool read_only_;
  const FileOps* ops_;
  PerProcess<std::shared_ptr<const ManifestRead>> manifest_;  ///< read once, where there is one to be read
};

}  // namespace ropejit::internal
