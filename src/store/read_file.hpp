// Reads a whole file of a cache directory, trusting nothing about it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/file_ops.hpp"

namespace ropejit::internal {

struct FileContents {
  std::optional<std::string> bytes;
  bool absent = false;  ///< there is no such file
  std::string problem;  ///< one line, when bytes is empty
};

/// Reads `path`. It must be a regular file (no symbolic link, no pipe) of `limit` bytes at most, owned by this user
/// or by root, and writable by its owner alone: what is in it will be executed.
FileContents read_file(const FileOps& ops, const std::string& path, std::uint64_t limit);

}  // namespace ropejit::internal
