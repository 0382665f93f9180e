#include "reliability/faulty_calls.hpp"

#include <atomic>
#include <cerrno>
#include <vector>

#include "store/file_ops.hpp"

namespace ropejit::test {

using internal::FileOps;

const FileOps& real_file_ops() asm("__real__ZN7ropejit8internal15system_file_opsEv");
const FileOps& file_ops_instead() asm("__wrap__ZN7ropejit8internal15system_file_opsEv");

namespace {

// Threads of one get read and write entries side by side. Without a lock, which a child of fork might find taken.
class FaultyCalls final : public FileOps {
 public:
  void arm(const Fault& fault) {
    fault_ = fault;
    was_armed_ = true;
    calls_ = 0;
    failed_ = "";
  }
  std::string failed() const { return failed_.load(); }

  int open(int folder, const char* path, int flags, mode_t mode) const override {
    return fails("open") ? -1 : real_.open(folder, path, flags, mode);
  }
  ssize_t read(int file, void* to, std::size_t bytes) const override {
    return fails("read") ? -1 : real_.read(file, to, bytes);
  }
  ssize_t write(int file, const void* from, std::size_t bytes) const override {
    return fails("write") ? -1 : real_.write(file, from, bytes);
  }
  int fstat(int file, struct stat* result) const override { return fails("fstat") ? -1 : real_.fstat(file, result); }
  int stat(int folder, const char* name, struct stat* result) const override {
    return fails("stat") ? -1 : real_.stat(folder, name, result);
  }
  // Nobody cuts the power, and thousands of real ones take many minutes.
  int fsync(int file) const override { return fails("fsync") ? -1 : was_armed_ ? 0 : real_.fsync(file); }
  int lock(int file) const override { return fails("lock") ? -1 : real_.lock(file); }
  int change_mode(int file, mode_t mode) const override {
    return fails("change_mode") ? -1 : real_.change_mode(file, mode);
  }
  int touch(int file) const override { return fails("touch") ? -1 : real_.touch(file); }
  // A close that fails has closed all the same.
  int close(int file) const override {
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
    if (fault_.at < 0 || call < fault_.at || (call > fault_.at && !fault_.keeps_failing)) return false;
    if (call == fault_.at) failed_ = name;
    errno = fault_.error;
    return true;
  }

  const FileOps& real_ = real_file_ops();
  Fault fault_;
  bool was_armed_ = false;
  mutable std::atomic<int> calls_ = 0;
  mutable std::atomic<const char*> failed_ = "";
};

FaultyCalls& faulty_calls() {
  static auto* const calls = new FaultyCalls;  // outlives services that are leaked
  return *calls;
}

}  // namespace

const FileOps& file_ops_instead() { return faulty_calls(); }

void arm(const Fault& fault) { faulty_calls().arm(fault); }
std::string failed_call() { return faulty_calls().failed(); }

}  // namespace ropejit::test
