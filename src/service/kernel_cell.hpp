// What handles of one plan share: the kernel that serves now, and the better one that a compile in the background or a
// tuner may put in its place.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "launch/prepared_kernel.hpp"

namespace ropejit::internal {

/// Thread-safe, without a lock, so that a fork leaves a child nothing that is half done. A kernel that was served once
/// lives as long as the cell: a launch may be reading it. There are few: what is put is better than what was there.
class KernelCell {
 public:
  explicit KernelCell(std::shared_ptr<const PreparedKernel> first) { put(std::move(first)); }
  ~KernelCell() {
    for (const Link* link = current_.load(std::memory_order_acquire); link != nullptr;) {
      const std::unique_ptr<const Link> last(link);
      if (was_launched(*last->kernel)) last->kernel->step_buffers->set_launched();
      link = last->before;
    }
  }
  KernelCell(const KernelCell&) = delete;
  KernelCell& operator=(const KernelCell&) = delete;

  /// Whether it is time to look again for what the current kernel lacks. True for one caller in ten seconds: what
  /// failed once may work now, and costs too much to try at every get.
  bool is_due() {
    if (current().complete) return false;
    const Clock::duration now = Clock::now().time_since_epoch();
    Clock::rep next = next_try_.load();
    return now.count() >= next && next_try_.compare_exchange_strong(next, (now + kBetweenTries).count());
  }

  /// The kernel that serves now. It costs one atomic load: part of the hot path.
  const PreparedKernel& current() const noexcept { return *current_.load(std::memory_order_acquire)->kernel; }

  /// Has `next` serve from now on: later launches take it, those that have begun keep theirs.
  void put(std::shared_ptr<const PreparedKernel> next) {
    auto link = std::make_unique<Link>(Link{std::move(next), current_.load()});
    while (!current_.compare_exchange_weak(link->before, link.get(), std::memory_order_acq_rel)) {
    }
    static_cast<void>(link.release());
  }

  /// What the service's threads have yet to do for it. A child of fork, where those threads are not, goes by these.
  std::atomic<bool> awaits_compile{false};
  std::atomic<bool> awaits_tuning{false};

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kBetweenTries{10};

  struct Link {
    const std::shared_ptr<const PreparedKernel> kernel;
    const Link* before;
  };

  std::atomic<Clock::rep> next_try_{(Clock::now().time_since_epoch() + kBetweenTries).count()};
  std::atomic<const Link*> current_{nullptr};
};

}  // namespace ropejit::internal
