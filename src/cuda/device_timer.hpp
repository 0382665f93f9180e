// Time on the device: events around work, and work captured once and replayed. Uses the current context.
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
  /// From `before` to this event, once this one has come: microseconds.
  double us_since(const Event& before) const;

 private:
  const DriverApi& api_;
  CUevent event_ = nullptr;
};

/// Median of `repeats` runs of `work`, which queues on `stream`, in microseconds. Throws Error.
double median_us(const DriverApi& api, CUstream stream, const std::function<void()>& work, int repeats);

/// Work captured into a CUDA graph on a stream of its own.
class CapturedGraph {
 public:
  /// `queue` queues the work on the stream it is given. Throws Error where the capture fails.
  CapturedGraph(const DriverApi& api, const std::function<void(void* stream)>& queue);
  ~CapturedGraph();
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;

  void replay() const;
  CUstream stream() const { return stream_; }

 private:
  void release();

  const DriverApi& api_;
  CUstream stream_ = nullptr;
  CUgraph graph_ = nullptr;
  CUgraphExec executable_ = nullptr;
};

}  // namespace ropejit::internal
