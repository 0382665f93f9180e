// Reads a part of an open file, whatever the place that the file is read from otherwise.
#pragma once

#include <cstdint>
#include <string>

#include "store/file/ops.hpp"

namespace ropejit::internal {

/// `count` bytes from `offset` on, or as many as there are. False, with errno, where a read fails.
inline bool read_range(const FileOps& ops, int file, std::string& bytes, std::uint64_t offset, std::uint64_t count) {
  bytes.resize(static_cast<std::size_t>(count));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = retry_interrupted(
        [&] { return ops.read_at(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done)); });
    if (got < 0) return false;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return true;
}

}  // namespace ropejit::internal
