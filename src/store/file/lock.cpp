#include "store/file/lock.hpp"

#include <algorithm>
#include <thread>

namespace ropejit::internal {

using std::chrono::milliseconds;

bool lock_until(const FileOps& ops, int file, std::chrono::steady_clock::time_point deadline,
                milliseconds longest_pause) {
  milliseconds pause{1};
  while (retry_interrupted([&] { return ops.lock(file); }) != 0) {
    if (errno != EWOULDBLOCK) return false;
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= left.zero()) {
      errno = EWOULDBLOCK;
      return false;
    }
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(pause, left));
    pause = std::min(pause * 3 / 2 + milliseconds(1), longest_pause);
  }
  return true;
}

}  // namespace ropejit::internal
