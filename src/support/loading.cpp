#include "support/loading.hpp"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "support/made_once.hpp"

namespace ropejit::internal {
namespace {

using Clock = std::chrono::steady_clock;

// A thread that forks from a constructor of a library holds the dynamic linker's lock, which whoever is loading waits
// for: without a bound both would wait for ever.
constexpr std::chrono::seconds kLongestWait{1};
constexpr std::chrono::microseconds kPause{100};

std::mutex& mutex() {
  static constinit MadeOnce<std::unique_ptr<std::mutex>> made;
  return *made.get([] { return std::make_unique<std::mutex>(); });
}

thread_local bool has_mutex = false;

void before_fork() {
  const auto deadline = Clock::now() + kLongestWait;
  while (!(has_mutex = mutex().try_lock()) && Clock::now() < deadline) std::this_thread::sleep_for(kPause);
}

void in_parent() {
  if (has_mutex) mutex().unlock();
}

void in_child() {
  if (has_mutex) {
    mutex().unlock();
  } else {
    std::construct_at(&mutex());  // its holder is not here
  }
}

// Handlers of a library that is unloaded are dropped with it: pthread_atfork is linked into each, and names it to libc.
void watch_forks() {
  static constinit std::atomic<bool> watched{false};
  if (!watched.exchange(true)) ::pthread_atfork(before_fork, in_parent, in_child);
}

}  // namespace

Loading::Loading() {
  watch_forks();
  mutex().lock();
}

Loading::~Loading() { mutex().unlock(); }

}  // namespace ropejit::internal
