// Time on the device: events around work. Uses the current context.
#pragma once

#include <functional>

#include "cuda/driver_api.hpp"

namespace ropejit::internal {

class Event {
 public:
  explicit Event(const DriverApi& api);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(CUstream stream) const;
  /// Microseconds from `before` to this event, once this one has come.
  double us_since(const Event& before) const;

 private:
  const DriverApi& api_;
  CUevent event_ = nullptr;
};

/// Median of `repeats` runs of `work`, which queues on `stream`, in microseconds. Throws Error.
double median_us(const DriverApi& api, CUstream stream, const std::function<void()>& work, int repeats);

}  // namespace ropejit::internal
