// AtomicFile: a file that appears whole or not at all. Written under another name in the same folder, synced, and
// renamed into place. Not thread-safe; any number of them, in any processes, may aim at one path: the last
// rename wins and readers see one of the files, whole.
#pragma once

#include <string>
#include <string_view>

#include "store/file_ops.hpp"

namespace ropejit::internal {

class AtomicFile {
 public:
  /// Touches nothing yet. `path`: where the file will appear.
  AtomicFile(const FileOps& ops, std::string path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Discards what commit() has not published.
  ~AtomicFile();

  /// Creates the folder (mode 0700, parents too), a temporary file in it (mode 0600), writes `bytes`, syncs the
  /// file, renames it and syncs the folder. Once. Empty on success, else what failed, in one line; no temporary
  /// file remains then.
  std::string commit(std::string_view bytes);

 private:
  std::string fill(std::string_view bytes);
  void sync_folder() const;
  void discard() noexcept;

  const FileOps& ops_;
  std::string path_;
  std::string folder_;
  std::string temporary_;  ///< empty: there is none
};

/// mkdir -p with mode 0700; other processes may do the same at the same time. Empty on success.
std::string make_directories(const FileOps& ops, const std::string& path);

}  // namespace ropejit::internal
