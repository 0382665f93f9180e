// MadeOnce: a value that is made at its first use and stays.
#pragma once

#include <atomic>
#include <memory>

namespace ropejit::internal {

/// Thread-safe without a lock: a static variable of a function, or std::call_once, that another thread is filling in at
/// a fork keeps the child waiting for ever. Threads that come at the same time may each make the value; the first to be
/// done wins, and what the others made is destroyed. What is made must therefore not matter twice.
///
/// Needs no code to be initialised, so it may be static. It does not destroy the value: an owner that ends before the
/// process deletes made().
template <class T>
class MadeOnce {
 public:
  constexpr MadeOnce() = default;
  MadeOnce(const MadeOnce&) = delete;
  MadeOnce& operator=(const MadeOnce&) = delete;

  /// The value; `make` returns it where there is none yet. What make throws is thrown, and the next call tries anew.
  template <class Make>
  const T& get(const Make& make) const {
    if (const T* const known = made()) return *known;
    std::unique_ptr<T> fresh(new T(make()));  // in place: T need not be movable
    T* first = nullptr;
    if (made_.compare_exchange_strong(first, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
    return *first;
  }

  /// The value, or null where nothing has been made.
  T* made() const noexcept { return made_.load(std::memory_order_acquire); }

 private:
  mutable std::atomic<T*> made_{nullptr};
};

}  // namespace ropejit::internal
