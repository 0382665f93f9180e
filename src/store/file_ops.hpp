// FileOps: every system call of the store, as one interface, so that tests can make each of them fail.
//
// All members follow their POSIX namesakes: -1 and errno on failure. Implementations are thread-safe.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

namespace ropejit::internal {

class FileOps {
 public:
  virtual ~FileOps() = default;

  virtual int open(const char* path, int flags) const = 0;
  virtual int make_temporary(char* path_template) const = 0;  ///< mkostemp(O_CLOEXEC): mode 0600
  virtual ssize_t read(int file, void* to, std::size_t bytes) const = 0;
  virtual ssize_t write(int file, const void* from, std::size_t bytes) const = 0;
  virtual int fstat(int file, struct stat* result) const = 0;
  virtual int fsync(int file) const = 0;
  virtual int lock(int file) const = 0;  ///< flock(LOCK_EX | LOCK_NB): until the file is closed
  virtual int close(int file) const = 0;
  virtual int rename(const char* from, const char* to) const = 0;
  virtual int unlink(const char* path) const = 0;
  virtual int mkdir(const char* path, mode_t mode) const = 0;
  /// Appends the names in a directory, without "." and "..", in no order.
  virtual int list_directory(const char* path, std::vector<std::string>& names) const = 0;
};

/// The real calls.
const FileOps& system_file_ops();

/// Repeats `call` while it is interrupted by a signal. Bounded: a file system that only ever interrupts is broken,
/// and a broken one must not hang the caller.
template <typename Call>
auto retry_interrupted(const Call& call) {
  auto result = call();
  for (int tries = 1; result == -1 && errno == EINTR && tries < 100; ++tries) result = call();
  return result;
}

/// An open file, closed on destruction. Whoever must know whether close worked calls close().
class OpenFile {
 public:
  OpenFile(const FileOps& ops, int file) : ops_(&ops), file_(file) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { close(); }

  explicit operator bool() const { return file_ >= 0; }
  int get() const { return file_; }

  /// False, with errno, where the kernel reports a failure. Never repeated: Linux has freed the descriptor even
  /// when close was interrupted, and another thread may own the number by now.
  bool close() {
    if (file_ < 0) return true;
    const int file = file_;
    file_ = -1;
    return ops_->close(file) == 0 || errno == EINTR;
  }

 private:
  const FileOps* ops_;
  int file_;
};

}  // namespace ropejit::internal
