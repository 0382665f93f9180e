// AtomicFile: a file that appears whole or not at all. Written under another name in the same folder, synced, and
// renamed into place. Not thread-safe; any number of them, in any processes, may aim at one name: the last
// rename wins and readers see one of the files, whole.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "store/file/folder.hpp"
#include "store/file/ops.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

class AtomicFile {
 public:
  /// Touches nothing yet. `folder` is open and outlives this; `name`: how the file will be called there; `mode`: of the
  /// file, less what the process's umask takes away.
  AtomicFile(const FileOps& ops, const Trust& trust, const Folder& folder, std::string name, mode_t mode = 0600);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Discards what commit() has not published.
  ~AtomicFile();

  /// The file gets permissions, owner and group of this one, which it is to replace; another's owner only where this
  /// user may give files away.
  void resemble(const struct stat& old) { old_ = old; }

  /// Creates a temporary file ".<name>.<random>" (of `mode`; 0660 for a trusted group), writes `bytes`, syncs the file,
  /// renames it and syncs the folder. To be called once. Empty on success, else what failed, in one line; no temporary
  /// file remains then.
  std::string commit(std::string_view bytes);

  /// Writes some of the file's bytes. Empty on success, else what failed, in one line.
  using Put = std::function<std::string(std::string_view bytes)>;
  /// The same with bytes that come piece by piece: `content` hands them over in order, and returns what `put` said
  /// where that failed, or a reason of its own for which there is to be no file.
  std::string commit(const std::function<std::string(const Put& put)>& content);

 private:
  std::string fill(const std::function<std::string(const Put& put)>& content);
  OpenFile create();
  void discard() noexcept;

  const FileOps& ops_;
  const Trust& trust_;
  const Folder& folder_;
  std::string name_;
  mode_t mode_;
  std::optional<struct stat> old_ = {};
  std::string temporary_;  ///< empty: there is none
};

}  // namespace ropejit::internal
