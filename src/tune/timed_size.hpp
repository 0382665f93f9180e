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

/// Kernels are of RecordedKernel. Must outlive its replays, and so must the kernels and the memory of bytes() bytes
/// that they run on.
class TimedSize {
 public:
  /// Throws Error where a set takes more than half of `most_bytes`.
  TimedSize(const Target& target, const KernelClass& kernel_class, std::int64_t tokens, std::size_t most_bytes);

  std::size_t bytes() const;
  bool cold() const { return in_earnest_.cold; }

  TimedReplay trial(const Target& target, char* memory, const PreparedKernel& kernel) const;  ///< short
  TimedReplay in_earnest(const Target& target, char* memory, const PreparedKernel& kernel) const;
  /// The driver's copy of half of what a launch moves, to other memory: as much read, as much written.
  TimedReplay copy(const Target& target, char* memory) const;

 private:
  TimedReplay replay(const Target& target, char* memory, const PreparedKernel& kernel, const WorkingSet& set) const;

  Workload workload_;
  WorkingSet trial_;
  WorkingSet in_earnest_;
};

}  // namespace ropejit::internal
