#include "cuda/device_timer.hpp"

#include <algorithm>
#include <vector>

namespace ropejit::internal {

Event::Event(const DriverApi& api) : api_(api) {
  check_driver(api_, api_.p_cuEventCreate(&event_, CU_EVENT_DEFAULT), "cuEventCreate");
}

Event::~Event() { api_.p_cuEventDestroy(event_); }

void Event::record(CUstream stream) const { check_driver(api_, api_.p_cuEventRecord(event_, stream), "cuEventRecord"); }

double Event::us_since(const Event& before) const {
  check_driver(api_, api_.p_cuEventSynchronize(event_), "cuEventSynchronize");
  float ms = 0;
  check_driver(api_, api_.p_cuEventElapsedTime(&ms, before.event_, event_), "cuEventElapsedTime");
  return static_cast<double>(ms) * 1000.0;
}

double median_us(const DriverApi& api, CUstream stream, const std::function<void()>& work, int repeats) {
  const Event before(api);
  const Event after(api);
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    before.record(stream);
    work();
    after.record(stream);
    times.push_back(after.us_since(before));
  }
  std::sort(times.begin(), times.end());
  return times.empty() ? 0.0 : times[times.size() / 2];
}

CapturedGraph::CapturedGraph(const DriverApi& api, const std::function<void(void* stream)>& queue) : api_(api) {
  try {
    check_driver(api_, api_.p_cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    check_driver(api_, api_.p_cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                 "cuStreamBeginCapture");
    queue(stream_);
    check_driver(api_, api_.p_cuStreamEndCapture(stream_, &graph_), "cuStreamEndCapture");
    check_driver(api_, api_.p_cuGraphInstantiateWithFlags(&executable_, graph_, 0), "cuGraphInstantiate");
  } catch (...) {
    release();
    throw;
  }
}

CapturedGraph::~CapturedGraph() { release(); }

void CapturedGraph::release() {
  if (executable_ != nullptr) api_.p_cuGraphExecDestroy(executable_);
  if (graph_ != nullptr) api_.p_cuGraphDestroy(graph_);
  if (stream_ != nullptr) api_.p_cuStreamDestroy(stream_);
}

void CapturedGraph::replay() const { check_driver(api_, api_.p_cuGraphLaunch(executable_, stream_), "cuGraphLaunch"); }

}  // namespace ropejit::internal
