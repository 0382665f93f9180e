// When a guest may put work on a device that belongs to others: within a share of its time, never while it is asked to
// rest or a stream is being captured.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

namespace ropejit::internal {

/// One guest asks; anyone may pause, resume and stop it. Thread-safe.
class WorkPermit {
 public:
  /// `share`: of the device's time, above 0 and up to 1. `is_capturing`: whether a stream is seen to be captured.
  WorkPermit(double share, std::function<bool()> is_capturing)
      : share_(share), is_capturing_(std::move(is_capturing)) {}

  /// The guest calls it before each piece of work: waits until it may go on. `device_us`: what its last piece took.
  /// False: stop.
  bool wait(double device_us);
  /// The guest calls it when the device has none of its work.
  void rest();

  /// From when it returns until resume, the device has no work of the guest. Counted.
  void pause();
  void resume();
  /// Lets the guest do no more work, for good.
  void stop();
  bool is_stopped() const;

 private:
  template <class Change>
  void change(const Change& change);

  const double share_;
  const std::function<bool()> is_capturing_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool at_work_ = false;
  bool stopped_ = false;
  int pauses_ = 0;
};

}  // namespace ropejit::internal
