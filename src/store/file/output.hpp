// OutputFile: what a path that a person names leads to, and the one way of writing there.
//
//   a regular file    replaced whole, by a rename, with the mode and the owner that it had. Symbolic links are
//   followed:
//                     the file at their end is replaced, and the links stay
//   nothing           a new file, in a folder that is there
//   a character device, a pipe that somebody reads, an open file of this process (/dev/stdout, /dev/fd/3)
//                     is written through, and is afterwards what it was
//   anything else     is refused: a directory, a block device, a socket, a pipe that nobody reads, a link that leads
//                     nowhere or in circles, a link of /proc to another process's open file
//
// Nothing waits for a reader of a pipe to come; one that is there and does not read is waited for, as everywhere.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "store/file/atomic.hpp"
#include "store/file/folder.hpp"
#include "store/file/ops.hpp"

namespace ropejit::internal {

/// "a directory", "a pipe", ... for messages.
const char* file_kind(mode_t mode);

/// Why a file of a cache directory, where no link is followed, is not replaced by one that a person asks for: something
/// else than a regular file has its name. One line; empty where it may be. `file` is told to resemble what is there.
std::string in_its_place(const FileOps& ops, const Folder& folder, const std::string& name, AtomicFile* file = nullptr);

class OutputFile {
 public:
  enum class Kind {
    file,         ///< a regular file, or the place of a new one
    device,       ///< written through; also an open file of this process that is no pipe
    pipe,         ///< written through, and whoever reads it may go away: SIGPIPE, where that is not ignored
    refused,      ///< what is there is never written
    unreachable,  ///< the way there fails: no such folder, no permission
  };

  /// Looks where `path` leads. Opens its folder and writes nothing. `ops` outlives this.
  OutputFile(const FileOps& ops, const std::string& path);

  Kind kind() const { return kind_; }
  /// Why nothing can be written, in one line that begins with the path; empty where it may work.
  const std::string& problem() const { return problem_; }
  /// Whether it is this process's standard output by another name.
  bool is_standard_output() const { return descriptor_ == 1; }
  /// Where a file is: its folder, and its name there, behind all links; and whether there is one by now.
  const Folder& folder() const { return folder_; }
  Folder& folder() { return folder_; }
  const std::string& name() const { return name_; }
  bool exists() const { return old_.has_value(); }

  /// Writes what `content` puts, in order. A file is replaced when all of it is written and synced, else left as it
  /// was; a new one has `mode`, less what the umask takes. Empty on success, else what failed, in one line; no
  /// temporary file remains then.
  std::string write(const std::function<std::string(const AtomicFile::Put& put)>& content, mode_t mode = 0666) const;
  std::string write(std::string_view bytes, mode_t mode = 0666) const;

  /// Appends to what is there, a file too, by one call of the system where it takes that much at once. A pipe with a
  /// name is refused: its reader would see its end after the first piece.
  std::string append(std::string_view bytes, mode_t mode = 0666) const;

 private:
  void look();
  bool follow(std::string& path);
  bool take_descriptor();
  void take(const struct stat& status);
  void refuse(Kind kind, std::string why);
  std::string put(const OpenFile& file, std::string_view bytes) const;
  std::string write_through(const std::function<std::string(const AtomicFile::Put& put)>& content) const;

  const FileOps& ops_;
  const std::string path_;  ///< as it was named: for messages
  Kind kind_ = Kind::unreachable;
  std::string problem_;
  Folder folder_;
  std::string name_;
  int descriptor_ = -1;             ///< the open file of this process that the path leads to, if it does
  std::optional<struct stat> old_;  ///< what the file that is there has; nothing: there is none
};

}  // namespace ropejit::internal
