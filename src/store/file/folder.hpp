// The folders of a cache directory, opened one below the other without following links, so that what was looked at is
// what is used.
//
// The cache directory itself may be reached through links: a home is often one, and whoever can change a link on the
// way there can only lead to another directory, which must pass the same test. Below it a link is refused.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "store/file/ops.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

/// An open folder, or why there is none.
struct Folder {
  OpenFile file = {};
  std::string path = {};     ///< for messages: how it was reached
  std::string problem = {};  ///< one line that names the folder, where none is open
  bool absent = false;       ///< there is no such folder
  bool refused = false;      ///< there is one, and the trust forbids it
  bool stale = false;        ///< the way there failed with ESTALE

  explicit operator bool() const { return static_cast<bool>(file); }
  int get() const { return file.get(); }
};

/// Opens DIRECTORY/NAMES...; each of them, the directory too, must be trusted.
Folder open_folder(const FileOps& ops, const Trust& trust, const std::string& directory,
                   std::initializer_list<std::string_view> names);

/// Opens likewise, and makes what is missing, with mode 0700; for the members of a trusted group, where a new folder is
/// of that group, 2770.
Folder make_folder(const FileOps& ops, const Trust& trust, const std::string& directory,
                   std::initializer_list<std::string_view> names);

/// mkdir -p with mode 0700; other processes may do the same at the same time. Empty on success.
std::string make_directories(const FileOps& ops, const std::string& path);

/// Lets the trusted group of `trust` have `mode` of a file or folder that is this user's and the group's. Where that
/// fails the group has to do without.
void share_with_group(const FileOps& ops, const Trust& trust, int file, mode_t mode);

}  // namespace ropejit::internal
