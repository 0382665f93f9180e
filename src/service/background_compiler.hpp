// Compiles what a get did not wait for: OnMiss::background.
#pragma once

#include <memory>

#include "service/job_thread.hpp"
#include "service/kernel_cell.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

struct ServiceState;

/// Thread-safe. Its thread ends with the object, after the kernel in hand.
class BackgroundCompiler {
 public:
  /// The state must outlive the object.
  explicit BackgroundCompiler(ServiceState& state) : state_(state) {}

  /// Compiles the plan's binaries and puts them in place of what `cell` serves. Where that cannot be, a warning is all
  /// that comes of it.
  void add(const RotationPlan& plan, const std::shared_ptr<KernelCell>& cell);

  /// Until all is compiled, or so many seconds have passed. True: all is.
  bool wait(double seconds) { return thread_.wait(seconds); }

 private:
  void compile(const RotationPlan& plan, KernelCell& cell);

  ServiceState& state_;
  JobThread thread_;
};

}  // namespace ropejit::internal
