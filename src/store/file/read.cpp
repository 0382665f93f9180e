#include "store/file/read.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <utility>

namespace ropejit::internal {
namespace {

FileContents failed(const char* what) {
  FileContents contents;
  contents.absent = errno == ENOENT;
  contents.stale = errno == ESTALE;
  contents.problem = failure(what);
  return contents;
}

FileContents refuse(std::string problem) {
  FileContents contents;
  contents.refused = true;
  contents.problem = std::move(problem);
  return contents;
}

// By `read(to, left, done)`, as often as it takes, or until there is no more. False, with errno, where it fails.
template <typename Read>
bool fill(std::string& bytes, std::uint64_t count, const Read& read) {
  bytes.resize(static_cast<std::size_t>(count));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = retry_interrupted([&] { return read(bytes.data() + done, bytes.size() - done, done); });
    if (got < 0) return false;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return true;
}

}  // namespace

bool read_range(const FileOps& ops, int file, std::string& bytes, std::uint64_t offset, std::uint64_t count) {
  return fill(bytes, count, [&](char* to, std::size_t left, std::size_t done) {
    return ops.read_at(file, to, left, static_cast<off_t>(offset + done));
  });
}

FileContents read_file(const FileOps& ops, const Trust& trust, int folder, const std::string& name, std::uint64_t limit,
                       Links links) {
  FileContents contents;
  // O_NONBLOCK: opening a pipe that somebody put there must not wait for a writer.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (links == Links::refused ? O_NOFOLLOW : 0);
  OpenFile& file = contents.file =
      OpenFile(ops, retry_interrupted([&] { return ops.open(folder, name.c_str(), flags, 0); }));
  if (!file) return errno == ELOOP ? refuse("a symbolic link, allowed: a regular file") : failed("open");

  struct stat& status = contents.status;
  if (retry_interrupted([&] { return ops.fstat(file.get(), &status); }) != 0) return failed("stat");
  if (!S_ISREG(status.st_mode)) return refuse("not a regular file");
  if (std::string problem = distrust(trust, status); !problem.empty()) return refuse(std::move(problem));
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > limit) return refuse(fmt::format("{} bytes, allowed: at most {}", size, limit));

  // Where it is shorter than it said the checksum will tell.
  std::string bytes;
  const auto read = [&](char* to, std::size_t left, std::size_t) { return ops.read(file.get(), to, left); };
  if (!fill(bytes, size, read)) return failed("read");
  contents.bytes = std::move(bytes);
  return contents;
}

FileContents read_file(const FileOps& ops, const Trust& trust, const std::string& directory,
                       std::initializer_list<std::string_view> folders, const std::string& name, std::uint64_t limit) {
  FileContents contents;
  for (int tries = 0; tries < 2; ++tries) {
    Folder folder = open_folder(ops, trust, directory, folders);
    if (folder) {
      contents = read_file(ops, trust, folder.get(), name, limit);
    } else {
      contents = {};
      contents.absent = folder.absent;
      contents.refused = folder.refused;
      contents.stale = folder.stale;
      contents.problem = folder.problem;
    }
    contents.folder = std::move(folder);
    if (!contents.stale) break;
  }
  return contents;
}

}  // namespace ropejit::internal
