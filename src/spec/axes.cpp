#include "spec/axes.hpp"

namespace ropejit {
inline namespace v0 {

bool operator==(const Axes& a, const Axes& b) noexcept {
  return a.sections == b.sections && a.order == b.order && a.frequencies == b.frequencies;
}

const char* to_string(AxisOrder order) noexcept {
  switch (order) {
    case AxisOrder::chunked: return "chunked";
    case AxisOrder::interleaved: return "interleaved";
    case AxisOrder::alternating: return "alternating";
  }
  return "unknown";
}

const char* to_string(AxisFrequencies frequencies) noexcept {
  switch (frequencies) {
    case AxisFrequencies::shared: return "shared";
    case AxisFrequencies::restarted: return "restarted";
    case AxisFrequencies::strided: return "strided";
  }
  return "unknown";
}

}  // namespace v0
}  // namespace ropejit
