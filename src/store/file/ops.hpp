// FileOps: every system call of the store, as one interface, so that tests can make each of them fail.
//
// All members follow their POSIX namesakes: -1 and errno on failure. `folder` is an open folder, or AT_FDCWD for paths
// from the working directory. Implementations are thread-safe.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ropejit::internal {

class FileOps {
 public:
  virtual ~FileOps() = default;

  virtual int open(int folder, const char* path, int flags, mode_t mode) const = 0;  ///< openat
  virtual ssize_t read(int file, void* to, std::size_t bytes) const = 0;
  virtual ssize_t read_at(int file, void* to, std::size_t bytes, off_t offset) const = 0;  ///< pread
  virtual ssize_t write(int file, const void* from, std::size_t bytes) const = 0;
  virtual int fstat(int file, struct stat* result) const = 0;
  virtual int stat(int folder, const char* name, struct stat* result) const = 0;  ///< a link itself, not its target
  virtual int fsync(int file) const = 0;
  virtual int lock(int file) const = 0;    ///< flock(LOCK_EX | LOCK_NB)
  virtual int unlock(int file) const = 0;  ///< flock(LOCK_UN)
  virtual int change_mode(int file, mode_t mode) const = 0;
  virtual int change_owner(int file, uid_t user, gid_t group) const = 0;  ///< fchown
  virtual int wait_when_full(int file) const = 0;                         ///< takes O_NONBLOCK away
  virtual int touch(int file) const = 0;                                  ///< sets both times to now
  virtual int close(int file) const = 0;
  virtual int rename(int from_folder, const char* from, int to_folder, const char* to) const = 0;
  virtual int unlink(int folder, const char* name) const = 0;
  virtual int mkdir(int folder, const char* path, mode_t mode) const = 0;
  /// Where the symbolic link leads, as it is written in it.
  virtual int read_link(int folder, const char* name, std::string& target) const = 0;
  /// Appends the names in an open folder, without "." and "..", in no order.
  virtual int list_directory(int folder, std::vector<std::string>& names) const = 0;
};

/// The system's own calls.
const FileOps& system_file_ops();

/// Repeats `call` while it is interrupted by a signal. Bounded: a file system that only ever interrupts is broken,
/// and a broken one must not hang the caller.
template <typename Call>
auto retry_interrupted(const Call& call) {
  auto result = call();
  for (int tries = 1; result == -1 && errno == EINTR && tries < 100; ++tries) result = call();
  return result;
}

/// "cannot open PATH: No such file or directory": `what` failed, and errno says why. Without a path "cannot open: ...".
std::string failure(std::string_view what, std::string_view path = {});

/// Writes all of `bytes`, whatever the system takes at a time. Empty on success, else what failed, in one line that
/// names `path`; `taker`: what the line says of a file that takes no more, such as "the file system".
std::string put_all(const FileOps& ops, int file, std::string_view bytes, std::string_view path,
                    std::string_view taker);

/// Takes FileOps::lock, asking again while somebody else has it, until `deadline`: by a clock that does not jump, and
/// at least once. Polls, as a wait that the system makes could not be bounded; pauses grow to `longest_pause`. False,
/// with errno: EWOULDBLOCK where somebody has it still, else why there are no locks here.
bool lock_until(const FileOps& ops, int file, std::chrono::steady_clock::time_point deadline,
                std::chrono::milliseconds longest_pause);

/// An open file or folder, closed on destruction. Whoever must know whether close worked calls close().
class OpenFile {
 public:
  OpenFile() = default;
  OpenFile(const FileOps& ops, int file) : ops_(&ops), file_(file) {}
  OpenFile(OpenFile&& other) noexcept
      : ops_(other.ops_), file_(std::exchange(other.file_, -1)), is_locked_(std::exchange(other.is_locked_, false)) {}
  OpenFile& operator=(OpenFile&& other) noexcept {
    std::swap(ops_, other.ops_);
    std::swap(file_, other.file_);
    std::swap(is_locked_, other.is_locked_);
    return *this;
  }
  ~OpenFile() { close(); }

  /// To be called where its lock was taken, which is then given back before it is closed: a lock belongs to all that
  /// have the file open, and a child that was forked meanwhile has it open for as long as it lives.
  void set_locked() { is_locked_ = true; }

  explicit operator bool() const { return file_ >= 0; }
  int get() const { return file_; }

  /// False, with errno, where the kernel reports a failure. Never repeated: Linux has freed the descriptor even
  /// when close was interrupted, and another thread may own the number by now.
  bool close() {
    if (file_ < 0) return true;
    const int file = std::exchange(file_, -1);
    if (std::exchange(is_locked_, false)) ops_->unlock(file);
    return ops_->close(file) == 0 || errno == EINTR;
  }

 private:
  const FileOps* ops_ = nullptr;
  int file_ = -1;
  bool is_locked_ = false;
};

}  // namespace ropejit::internal
