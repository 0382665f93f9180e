// What handles of one plan share: the kernel that serves now, and the better one that a tuner may put in its place.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "launch/prepared_kernel.hpp"
#include "ropejit/service.hpp"

namespace ropejit::internal {

/// A kernel, and what there is to say of it. Immutable.
struct Served {
  std::shared_ptr<const PreparedKernel> kernel;
  KernelInfo info;
  bool complete = true;  ///< every variant that was chosen is there, in its own form or in that of its class
};

/// Thread-safe. A kernel that was served once lives as long as the cell: a launch may be reading it.
class KernelCell {
 public:
  explicit KernelCell(Served first) { put(std::move(first)); }

  /// Whether it is time to look again for what the current kernel lacks. True for one caller in ten seconds: what
  /// failed once may work now, and costs too much to try at every get.
  bool is_due() {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    if (all_.back()->complete || now < next_try_) return false;
    next_try_ = now + kBetweenTries;
    return true;
  }

  /// One atomic load: part of the hot path.
  const Served& current() const noexcept { return *current_.load(std::memory_order_acquire); }

  /// Serves from now on: later launches take it, those that have begun keep theirs.
  void put(Served next) {
    const std::lock_guard lock(mutex_);
    all_.push_back(std::make_unique<const Served>(std::move(next)));
    current_.store(all_.back().get(), std::memory_order_release);
  }

 private:
  static constexpr std::chrono::seconds kBetweenTries{10};

  std::mutex mutex_;
  std::chrono::steady_clock::time_point next_try_ = std::chrono::steady_clock::now() + kBetweenTries;
  std::vector<std::unique_ptr<const Served>> all_;
  std::atomic<const Served*> current_{nullptr};
};

}  // namespace ropejit::internal
