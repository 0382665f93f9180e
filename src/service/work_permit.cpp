#include "service/work_permit.hpp"

#include <chrono>

namespace ropejit::internal {
namespace {

/// How often it looks whether a stream is still being captured.
constexpr std::chrono::milliseconds kCaptureTick{5};

}  // namespace

bool WorkPermit::wait(double device_us) {
  std::unique_lock lock(mutex_);
  at_work_ = false;
  changed_.notify_all();
  const std::chrono::duration<double, std::micro> owed(device_us * (1 / share_ - 1));
  changed_.wait_for(lock, owed, [this] { return stopped_; });
  while (!stopped_ && (pauses_ > 0 || is_capturing_())) changed_.wait_for(lock, kCaptureTick);
  at_work_ = !stopped_;
  return !stopped_;
}

template <class Change>
void WorkPermit::change(const Change& change) {
  {
    const std::lock_guard lock(mutex_);
    change();
  }
  changed_.notify_all();
}

void WorkPermit::rest() {
  change([this] { at_work_ = false; });
}

void WorkPermit::pause() {
  std::unique_lock lock(mutex_);
  ++pauses_;
  changed_.wait(lock, [this] { return !at_work_; });
}

void WorkPermit::resume() {
  change([this] { --pauses_; });
}

void WorkPermit::stop() {
  change([this] { stopped_ = true; });
}

bool WorkPermit::is_stopped() const {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

}  // namespace ropejit::internal
