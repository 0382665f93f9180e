// What a launch is held against: a copy of as many bytes on the same device.
#pragma once

#include <cstddef>
#include <optional>

#include "target/target.hpp"

namespace ropejit::internal {

/// Two buffers of the device, and the copy from one to the other. Not thread-safe; the target must outlive it.
class CopyTrial {
 public:
  /// A copy that reads and writes `moved_bytes` in all, half of them each way. Throws Error where memory does not allow
  /// it.
  CopyTrial(const Target& target, double moved_bytes);

  std::size_t bytes() const { return bytes_; }  ///< each way
  /// Queues the copy; null is the stream of a launch without one.
  void copy(void* stream) const;

 private:
  const Target& target_;
  std::size_t bytes_;
  DeviceBuffer from_;
  DeviceBuffer to_;
};

/// What such a copy takes, timed as launches are (Target::time_us), microseconds. Nothing where the device has no
/// memory left for it.
std::optional<double> time_copy(const Target& target, double moved_bytes, int repeats);

}  // namespace ropejit::internal
