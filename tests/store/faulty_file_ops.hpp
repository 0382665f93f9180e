// System calls that fail on demand: FileOps over the real ones, with a fault at the n-th call.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "store/file_ops.hpp"

namespace ropejit::test {

class FaultyFileOps final : public internal::FileOps {
 public:
  /// The call number `at`, counted from 0, fails with `error` and does nothing. Negative: none fails.
  FaultyFileOps(int at, int error) : at_(at), error_(error) {}

  int calls() const { return calls_; }
  /// Name of the call that failed; empty if it was never reached.
  const std::string& failed() const { return failed_; }
  int open_files() const { return open_files_; }

  bool keeps_failing = false;                    ///< every call from that one on fails
  bool interrupt_everything = false;             ///< every call is interrupted once before it works
  std::size_t transfer_limit = ~std::size_t{0};  ///< bytes that one read or write moves at most

  // A file that must be a new one is a call of another kind: it decides over a write.
  int open(int folder, const char* path, int flags, mode_t mode) const override {
    return opened(fails((flags & O_EXCL) != 0 ? "create" : "open") ? -1 : real_.open(folder, path, flags, mode));
  }
  ssize_t read(int file, void* to, std::size_t bytes) const override {
    return fails("read") ? -1 : real_.read(file, to, std::min(bytes, transfer_limit));
  }
  ssize_t write(int file, const void* from, std::size_t bytes) const override {
    return fails("write") ? -1 : real_.write(file, from, std::min(bytes, transfer_limit));
  }
  int fstat(int file, struct stat* result) const override { return fails("fstat") ? -1 : real_.fstat(file, result); }
  int stat(int folder, const char* name, struct stat* result) const override {
    return fails("stat") ? -1 : real_.stat(folder, name, result);
  }
  // Nothing is synced: no test cuts the power, and hundreds of real ones take seconds.
  int fsync(int) const override { return fails("fsync") ? -1 : 0; }
  int lock(int file) const override { return fails("lock") ? -1 : real_.lock(file); }
  int change_mode(int file, mode_t mode) const override {
    return fails("change_mode") ? -1 : real_.change_mode(file, mode);
  }
  int touch(int file) const override { return fails("touch") ? -1 : real_.touch(file); }
  // A close that fails has closed all the same.
  int close(int file) const override {
    --open_files_;
    const int result = real_.close(file);
    return fails("close") ? -1 : result;
  }
  int rename(int from_folder, const char* from, int to_folder, const char* to) const override {
    return fails("rename") ? -1 : real_.rename(from_folder, from, to_folder, to);
  }
  int unlink(int folder, const char* name) const override { return fails("unlink") ? -1 : real_.unlink(folder, name); }
  int mkdir(int folder, const char* path, mode_t mode) const override {
    return fails("mkdir") ? -1 : real_.mkdir(folder, path, mode);
  }
  int list_directory(int folder, std::vector<std::string>& names) const override {
    return fails("list_directory") ? -1 : real_.list_directory(folder, names);
  }

 private:
  bool fails(const char* name) const {
    const int call = calls_++;
    if (call == at_ || (keeps_failing && at_ >= 0 && call > at_)) {
      if (call == at_) failed_ = name;
      errno = error_;
      return true;
    }
    interrupted_ = interrupt_everything && !interrupted_;
    if (interrupted_) errno = EINTR;
    return interrupted_;
  }
  int opened(int file) const {
    if (file >= 0) ++open_files_;
    return file;
  }

  const internal::FileOps& real_ = internal::system_file_ops();
  int at_;
  int error_;
  mutable int calls_ = 0;
  mutable int open_files_ = 0;
  mutable bool interrupted_ = false;
  mutable std::string failed_;
};

}  // namespace ropejit::test
