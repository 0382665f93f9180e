// FileOps over others, with a word to say before every call: whether it fails.
#pragma once

#include <vector>

#include "store/file/ops.hpp"

namespace ropejit::test {

class InterceptedFileOps : public internal::FileOps {
 public:
  explicit InterceptedFileOps(const internal::FileOps& real) : real_(real) {}

  int open(int folder, const char* path, int flags, mode_t mode) const override {
    return fails("open") ? -1 : real_.open(folder, path, flags, mode);
  }
  ssize_t read(int file, void* to, std::size_t bytes) const override {
    return fails("read") ? -1 : real_.read(file, to, bytes);
  }
  ssize_t read_at(int file, void* to, std::size_t bytes, off_t offset) const override {
    return fails("read_at") ? -1 : real_.read_at(file, to, bytes, offset);
  }
  ssize_t write(int file, const void* from, std::size_t bytes) const override {
    return fails("write") ? -1 : real_.write(file, from, bytes);
  }
  int fstat(int file, struct stat* result) const override { return fails("fstat") ? -1 : real_.fstat(file, result); }
  int stat(int folder, const char* name, struct stat* result) const override {
    return fails("stat") ? -1 : real_.stat(folder, name, result);
  }
  // Nothing is synced: no test cuts the power, and hundreds of real ones take seconds.
  int fsync(int) const override { return fails("fsync") ? -1 : 0; }
  int lock(int file) const override { return fails("lock") ? -1 : real_.lock(file); }
  int unlock(int file) const override { return real_.unlock(file); }  // nobody asks whether it worked
  int change_mode(int file, mode_t mode) const override {
    return fails("change_mode") ? -1 : real_.change_mode(file, mode);
  }
  int change_owner(int file, uid_t user, gid_t group) const override {
    return fails("change_owner") ? -1 : real_.change_owner(file, user, group);
  }
  int wait_when_full(int file) const override { return fails("wait_when_full") ? -1 : real_.wait_when_full(file); }
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
  int read_link(int folder, const char* name, std::string& target) const override {
    return fails("read_link") ? -1 : real_.read_link(folder, name, target);
  }
  int list_directory(int folder, std::vector<std::string>& names) const override {
    return fails("list_directory") ? -1 : real_.list_directory(folder, names);
  }

 protected:
  /// Whether this call fails, with errno set.
  virtual bool fails(const char* name) const = 0;

  const internal::FileOps& real_;
};

}  // namespace ropejit::test
