#include "store/read_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <system_error>

namespace ropejit::internal {
namespace {

std::string describe(const char* what, int error) {
  return fmt::format("cannot {}: {}", what, std::generic_category().message(error));
}

FileContents fail(const char* what, int error) { return {{}, error == ENOENT, describe(what, error)}; }
FileContents refuse(std::string problem) { return {{}, false, std::move(problem)}; }

FileContents read_once(const FileOps& ops, const std::string& path, std::uint64_t limit, bool& stale) {
  const auto failed = [&stale](const char* what) {
    const int error = errno;
    stale = error == ESTALE;
    return fail(what, error);
  };
  // O_NONBLOCK: opening a pipe that somebody put there must not wait for a writer.
  OpenFile file(
      ops, retry_interrupted([&] { return ops.open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK); }));
  if (!file) return failed("open");

  struct stat status = {};
  if (retry_interrupted([&] { return ops.fstat(file.get(), &status); }) != 0) return failed("stat");
  if (!S_ISREG(status.st_mode)) return refuse("not a regular file");
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return refuse(fmt::format("owned by user {}, allowed: this user or root", status.st_uid));
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return refuse(fmt::format("mode {:o}, allowed: writable by its owner alone", status.st_mode & 07777u));
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > limit) return refuse(fmt::format("{} bytes, allowed: at most {}", size, limit));

  std::string bytes(static_cast<std::size_t>(size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        retry_interrupted([&] { return ops.read(file.get(), bytes.data() + done, bytes.size() - done); });
    if (got < 0) return failed("read");
    if (got == 0) break;  // shorter than it said: the checksum will tell
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return {std::move(bytes), false, {}};
}

}  // namespace

FileContents read_file(const FileOps& ops, const std::string& path, std::uint64_t limit) {
  // On a network file system, a file that another machine replaces while it is open goes stale; its successor is
  // there to be opened.
  bool stale = false;
  FileContents contents = read_once(ops, path, limit, stale);
  if (!stale) return contents;
  return read_once(ops, path, limit, stale);
}

}  // namespace ropejit::internal
