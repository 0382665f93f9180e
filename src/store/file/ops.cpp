#include "store/file/ops.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>
#include <system_error>
#include <thread>

#include "support/made_once.hpp"

namespace ropejit::internal {
namespace {

class SystemFileOps final : public FileOps {
 public:
  int open(int folder, const char* path, int flags, mode_t mode) const override {
    return ::openat(folder, path, flags, mode);
  }
  ssize_t read(int file, void* to, std::size_t bytes) const override { return ::read(file, to, bytes); }
  ssize_t read_at(int file, void* to, std::size_t bytes, off_t offset) const override {
    return ::pread(file, to, bytes, offset);
  }
  ssize_t write(int file, const void* from, std::size_t bytes) const override { return ::write(file, from, bytes); }
  int fstat(int file, struct stat* result) const override { return ::fstat(file, result); }
  int stat(int folder, const char* name, struct stat* result) const override {
    return ::fstatat(folder, name, result, AT_SYMLINK_NOFOLLOW);
  }
  int fsync(int file) const override { return ::fsync(file); }
  int lock(int file) const override { return ::flock(file, LOCK_EX | LOCK_NB); }
  int unlock(int file) const override { return ::flock(file, LOCK_UN); }
  int change_mode(int file, mode_t mode) const override { return ::fchmod(file, mode); }
  int change_owner(int file, uid_t user, gid_t group) const override { return ::fchown(file, user, group); }
  int wait_when_full(int file) const override {
    const int flags = ::fcntl(file, F_GETFL);
    return flags < 0 ? -1 : ::fcntl(file, F_SETFL, flags & ~O_NONBLOCK);
  }
  int touch(int file) const override { return ::futimens(file, nullptr); }
  int close(int file) const override { return ::close(file); }
  int rename(int from_folder, const char* from, int to_folder, const char* to) const override {
    return ::renameat(from_folder, from, to_folder, to);
  }
  int unlink(int folder, const char* name) const override { return ::unlinkat(folder, name, 0); }
  int mkdir(int folder, const char* path, mode_t mode) const override { return ::mkdirat(folder, path, mode); }

  int read_link(int folder, const char* name, std::string& target) const override {
    char text[PATH_MAX];
    const ssize_t size = ::readlinkat(folder, name, text, sizeof text);
    if (size < 0) return -1;
    target.assign(text, static_cast<std::size_t>(size));
    return 0;
  }

  int list_directory(int folder, std::vector<std::string>& names) const override {
    struct Closer {
      void operator()(DIR* directory) const { ::closedir(directory); }
    };
    // Opened anew, as the place in a listing belongs to the open file, and closedir closes what it was given.
    const int own = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0) return -1;
    const std::unique_ptr<DIR, Closer> directory(::fdopendir(own));
    if (!directory) {
      const int error = errno;
      ::close(own);
      errno = error;
      return -1;
    }
    while (true) {
      errno = 0;  // readdir tells the end from a failure by errno alone
      const dirent* item = ::readdir(directory.get());
      if (item == nullptr) return errno == 0 ? 0 : -1;
      if (std::strcmp(item->d_name, ".") != 0 && std::strcmp(item->d_name, "..") != 0) names.emplace_back(item->d_name);
    }
  }
};

}  // namespace

const FileOps& system_file_ops() {
  // Never destroyed: a store of static lifetime may outlive other statics.
  static constinit MadeOnce<SystemFileOps> ops;
  return ops.get([] { return SystemFileOps(); });
}

std::string failure(std::string_view what, std::string_view path) {
  const int error = errno;
  return fmt::format("cannot {}{}{}: {}", what, path.empty() ? "" : " ", path, std::generic_category().message(error));
}

std::string put_all(const FileOps& ops, int file, std::string_view bytes, std::string_view path,
                    std::string_view taker) {
  while (!bytes.empty()) {
    const ssize_t done = retry_interrupted([&] { return ops.write(file, bytes.data(), bytes.size()); });
    if (done < 0) return failure("write", path);
    if (done == 0) return fmt::format("cannot write {}: {} takes no more bytes", path, taker);
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return {};
}

bool lock_until(const FileOps& ops, int file, std::chrono::steady_clock::time_point deadline,
                std::chrono::milliseconds longest_pause) {
  std::chrono::milliseconds pause{1};
  while (retry_interrupted([&] { return ops.lock(file); }) != 0) {
    if (errno != EWOULDBLOCK) return false;
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= left.zero()) {
      errno = EWOULDBLOCK;
      return false;
    }
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(pause, left));
    pause = std::min(pause * 3 / 2 + std::chrono::milliseconds(1), longest_pause);
  }
  return true;
}

}  // namespace ropejit::internal
