// Waits until the other threads of this process do nothing, so that none is in the midst of something small.
#pragma once

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

namespace ropejit::test {

/// Whether every thread but this one waits for something, as the kernel has it (proc_pid_stat(5): S, or D).
inline bool are_other_threads_at_rest() {
  const std::string own = std::to_string(::gettid());
  std::error_code ended;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", ended)) {
    if (thread.path().filename() == own) continue;
    std::string stat;
    std::getline(std::ifstream(thread.path() / "stat"), stat);
    const std::size_t name_ends = stat.rfind(')');
    if (name_ends == std::string::npos || name_ends + 2 >= stat.size()) continue;  // it has ended
    if (const char state = stat[name_ends + 2]; state != 'S' && state != 'D') return false;
  }
  return true;
}

/// Waits for that, 30 seconds at most. A thread that is known to be on its way into a wait may still be returning from
/// what it did before, and hold a lock of the address sanitizer's allocator, which Clang 14's leaves taken in a child
/// of fork: with a thread that allocates all the time, 2 of 300 children of a program that does nothing else hang.
inline void wait_for_other_threads_to_rest() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!are_other_threads_at_rest() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace ropejit::test
