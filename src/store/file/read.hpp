// Reads a file of a cache directory, all of it or a part, trusting nothing about it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "store/file/folder.hpp"
#include "store/file/ops.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

struct FileContents {
  std::optional<std::string> bytes = {};
  bool absent = false;       ///< there is no such file
  bool refused = false;      ///< there is one, and it is not trusted
  bool stale = false;        ///< ESTALE: a network file system lost it; to open it anew may work
  std::string problem = {};  ///< one line, when bytes is empty
  // What was read:
  Folder folder = {};  ///< the folder that the file is in, open
  OpenFile file = {};  ///< the file, open for reading
  struct stat status = {};
};

/// Reads `count` bytes from `offset` on, or as many as there are. False, with errno, where a read fails.
bool read_range(const FileOps& ops, int file, std::string& bytes, std::uint64_t offset, std::uint64_t count);

/// What to do about a symbolic link in place of the file.
enum class Links { refused, followed };

/// Reads `name` of the open folder. It must be a regular file (no pipe, and by default no link) of `limit` bytes at
/// most, and trusted as far as its status tells. `folder` of the result is empty.
FileContents read_file(const FileOps& ops, const Trust& trust, int folder, const std::string& name, std::uint64_t limit,
                       Links links = Links::refused);

/// Reads DIRECTORY/FOLDERS.../NAME likewise, where the folders must be trusted too (open_folder). Tried twice where the
/// file goes stale: on a network file system one that another machine replaces while it is open does.
FileContents read_file(const FileOps& ops, const Trust& trust, const std::string& directory,
                       std::initializer_list<std::string_view> folders, const std::string& name, std::uint64_t limit);

}  // namespace ropejit::internal
