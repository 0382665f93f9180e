// PerProcess: what threads change under a lock, and a child of fork finds made anew.
#pragma once

#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace ropejit::internal {

/// Thread-safe. At a fork another thread may hold the lock, and the state be half changed; the thread is not there in
/// the child. So the child's first use puts a new lock and a new state in their place. Those of the parent are never
/// touched again, and never destroyed: that would need what they lack. Forks are told by the process's number, which
/// costs a system call (some 50 ns): not for the way of a launch.
template <class State>
class PerProcess {
 public:
  /// `make`: the state that a process begins with. Called at the first use, with the lock held; where it throws, the
  /// next use tries anew.
  explicit PerProcess(std::function<std::unique_ptr<State>()> make = [] { return std::make_unique<State>(); })
      : make_(std::move(make)), inside_(new Inside) {}
  ~PerProcess() {
    const Inside* const last = inside_.load(std::memory_order_acquire);
    if (last->process == ::getpid()) delete last;
  }
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;

  /// Calls use(State&) with the lock held.
  template <class Use>
  decltype(auto) with(const Use& use) const {
    Inside& mine = inside();
    const std::lock_guard lock(mine.mutex);
    if (!mine.state) mine.state = make_();
    return use(*mine.state);
  }

 private:
  struct Inside {
    const pid_t process = ::getpid();
    std::mutex mutex;
    std::unique_ptr<State> state;
  };

  Inside& inside() const {
    Inside* known = inside_.load(std::memory_order_acquire);
    if (known->process == ::getpid()) return *known;
    auto fresh = std::make_unique<Inside>();
    if (inside_.compare_exchange_strong(known, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
    return *known;
  }

  const std::function<std::unique_ptr<State>()> make_;
  mutable std::atomic<Inside*> inside_;
};

}  // namespace ropejit::internal
