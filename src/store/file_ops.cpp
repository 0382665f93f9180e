#include "store/file_ops.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace ropejit::internal {
namespace {

class SystemFileOps final : public FileOps {
 public:
  int open(const char* path, int flags) const override { return ::open(path, flags); }
  int make_temporary(char* path_template) const override { return ::mkostemp(path_template, O_CLOEXEC); }
  ssize_t read(int file, void* to, std::size_t bytes) const override { return ::read(file, to, bytes); }
  ssize_t write(int file, const void* from, std::size_t bytes) const override { return ::write(file, from, bytes); }
  int fstat(int file, struct stat* result) const override { return ::fstat(file, result); }
  int fsync(int file) const override { return ::fsync(file); }
  int lock(int file) const override { return ::flock(file, LOCK_EX | LOCK_NB); }
  int close(int file) const override { return ::close(file); }
  int rename(const char* from, const char* to) const override { return ::rename(from, to); }
  int unlink(const char* path) const override { return ::unlink(path); }
  int mkdir(const char* path, mode_t mode) const override { return ::mkdir(path, mode); }

  int list_directory(const char* path, std::vector<std::string>& names) const override {
    struct Closer {
      void operator()(DIR* directory) const { ::closedir(directory); }
    };
    const std::unique_ptr<DIR, Closer> directory(::opendir(path));
    if (!directory) return -1;
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
  static const FileOps* const ops = new SystemFileOps;
  return *ops;
}

}  // namespace ropejit::internal
