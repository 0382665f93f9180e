// Runs a grid on the CPU: blocks one after another, a block's threads as fibers of the calling thread, with real
// barriers and shuffles. A thread that meets none costs a function call: fibers are switched only where one waits.
#pragma once

#include <functional>
#include <memory>

#include "target/target.hpp"

namespace ropejit {
struct HostThread;  // templates/host_thread.cuh
}

namespace ropejit::internal {

/// The two functions that run a loaded kernel.
struct HostEntry {
  void (*bind)(HostThread* self) = nullptr;  ///< the shim's: says which simulated thread runs now
  std::function<void()> run;                 ///< the kernel, its arguments bound
};

/// What a launch on the host target can come to.
enum class HostOutcome : int {
  ok = 0,
  no_memory = 1,  ///< no stack for a fiber
  /// Every thread that has not returned waits, and not all of a warp or block at one place: a barrier or shuffle that
  /// not all reach, a defect of the kernel.
  deadlock = 2,
  misaligned = 3,  ///< an access that a GPU would have faulted on: a defect of the kernel
  no_source = 4,   ///< a shuffle from a thread that has ended, or that the block does not have: a defect of the kernel
};

/// Runs all blocks of the grid. Reentrant; every call has its own state.
HostOutcome run_grid(const LaunchGeometry& geometry, const HostEntry& entry);

}  // namespace ropejit::internal
