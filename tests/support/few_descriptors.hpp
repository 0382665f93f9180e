// A process that may open only so many files more.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <stdexcept>

namespace ropejit::test {

/// How many file descriptors are open below `limit`.
inline int open_descriptors(int limit = 4096) {
  int count = 0;
  for (int i = 0; i < limit; ++i) count += ::fcntl(i, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

/// Lowers the limit until `free` descriptors are left below it, and puts it back. Programs that are run meanwhile have
/// the limit too.
class FewDescriptors {
 public:
  explicit FewDescriptors(int free) {
    if (::getrlimit(RLIMIT_NOFILE, &before_) != 0) throw std::runtime_error("getrlimit failed");
    rlimit few = before_;
    few.rlim_cur = 0;
    for (int left = free; left > 0 || ::fcntl(static_cast<int>(few.rlim_cur), F_GETFD) >= 0; ++few.rlim_cur) {
      if (::fcntl(static_cast<int>(few.rlim_cur), F_GETFD) < 0) --left;
    }
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0) throw std::runtime_error("setrlimit failed");
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace ropejit::test
