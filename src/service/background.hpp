// The threads of a service: one compiles what a get did not wait for (OnMiss::background), one tunes beside the work of
// others, one class after another, within a share of the GPU's time.
#pragma once

#include <memory>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "service/job_thread.hpp"
#include "service/kernel_cell.hpp"
#include "service/work_permit.hpp"
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

  /// Waits until all is compiled, or so many seconds have passed. True: all is.
  bool wait(double seconds) { return thread_.wait(seconds); }

 private:
  void compile(const RotationPlan& plan, KernelCell& cell);

  ServiceState& state_;
  JobThread thread_;
};

/// Thread-safe. Its thread ends with the object, between two launches.
class BackgroundTuner {
 public:
  /// The state must outlive the object.
  explicit BackgroundTuner(ServiceState& state);
  BackgroundTuner(const BackgroundTuner&) = delete;
  BackgroundTuner& operator=(const BackgroundTuner&) = delete;

  /// Tunes what the kernel of `cell` lacks, and offers the better kernel to the service. Where no thread can be had,
  /// nothing happens but a warning.
  void add(const RopeSpec& spec, const LaunchForm& form, const std::shared_ptr<KernelCell>& cell);

  /// These are passed on to the permit (service/work_permit.hpp).
  void pause() { permit_.pause(); }
  void resume() { permit_.resume(); }

  /// Waits until all jobs are done, or so many seconds have passed. True: all are done.
  bool wait(double seconds) { return thread_.wait(seconds); }

 private:
  void tune(const RopeSpec& spec, const LaunchForm& form, const std::shared_ptr<KernelCell>& cell);

  ServiceState& state_;
  WorkPermit permit_;
  JobThread thread_;
};

}  // namespace ropejit::internal
