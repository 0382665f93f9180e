// One size that is tuned for: its tensors in the arena, and launches on them as graphs to be timed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "launch/prepared_kernel.hpp"
#include "target/target.hpp"
#include "tune/working_set.hpp"
#include "tune/workload.hpp"

namespace ropejit::internal {

struct TimedReplay {
  std::unique_ptr<Replay> replay;
  int launches = 1;
};

/// Kernels are of RecordedKernel. The object must outlive its replays, and so must the target, the kernels and the
/// memory of bytes() bytes that they run on.
class TimedSize {
 public:
  /// Throws Error where a set takes more than half of `most_bytes`.
  TimedSize(const Target& target, const KernelClass& kernel_class, std::int64_t tokens, std::size_t most_bytes);

  std::size_t bytes() const;
  bool cold() const { return in_earnest_.cold; }

  /// Launches of `kernel` as a short replay and a longer one.
  TimedReplay trial(const PreparedKernel& kernel, char* memory) const { return replay(kernel, memory, trial_); }
  TimedReplay in_earnest(const PreparedKernel& kernel, char* memory) const {
    return replay(kernel, memory, in_earnest_);
  }
  /// The driver's copy of half of what a launch moves, to other memory: as much read, as much written.
  TimedReplay copy(char* memory) const;

 private:
  TimedReplay replay(const PreparedKernel& kernel, char* memory, const WorkingSet& set) const;

  const Target& target_;
  Workload workload_;
  WorkingSet trial_;
  WorkingSet in_earnest_;
};

}  // namespace ropejit::internal
