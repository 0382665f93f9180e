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

}  // namespace ropejit::internal
