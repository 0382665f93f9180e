// System calls that fail on demand: FileOps over the real ones, with a fault at the n-th call.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <string>

#include "store/file/ops.hpp"
#include "store/intercepted_file_ops.hpp"

namespace ropejit::test {

class FaultyFileOps final : public InterceptedFileOps {
 public:
  /// The call number `at`, counted from 0, fails with `error` and does nothing. Negative: none fails.
  FaultyFileOps(int at, int error) : InterceptedFileOps(internal::system_file_ops()), at_(at), error_(error) {}

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
    return InterceptedFileOps::read(file, to, std::min(bytes, transfer_limit));
  }
  ssize_t read_at(int file, void* to, std::size_t bytes, off_t offset) const override {
    return InterceptedFileOps::read_at(file, to, std::min(bytes, transfer_limit), offset);
  }
  ssize_t write(int file, const void* from, std::size_t bytes) const override {
    return InterceptedFileOps::write(file, from, std::min(bytes, transfer_limit));
  }
  int close(int file) const override {
    --open_files_;
    return InterceptedFileOps::close(file);
  }

 private:
  bool fails(const char* name) const override {
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

  int at_;
  int error_;
  mutable int calls_ = 0;
  mutable int open_files_ = 0;
  mutable bool interrupted_ = false;
  mutable std::string failed_;
};

}  // namespace ropejit::test
