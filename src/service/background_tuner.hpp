// Tunes beside the work of others: one thread, one class after another, within a share of the GPU's time.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "service/kernel_cell.hpp"
#include "service/work_permit.hpp"

namespace ropejit::internal {

struct ServiceState;

/// Thread-safe. The thread begins with the first job and ends with the object, between two launches.
class BackgroundTuner {
 public:
  /// The state must outlive the object.
  explicit BackgroundTuner(ServiceState& state);
  ~BackgroundTuner();
  BackgroundTuner(const BackgroundTuner&) = delete;
  BackgroundTuner& operator=(const BackgroundTuner&) = delete;

  /// Tunes what the kernel of `cell` lacks, and offers the better kernel to the service. Where no thread can be had,
  /// nothing happens but a warning.
  void add(const RopeSpec& spec, const LaunchForm& form, const std::shared_ptr<KernelCell>& cell);

  void pause() { permit_.pause(); }
  void resume() { permit_.resume(); }

  /// Until all jobs are done, or so many seconds have passed. True: all are done.
  bool wait(double seconds);

 private:
  struct Job {
    RopeSpec spec;
    LaunchForm form;
    std::shared_ptr<KernelCell> cell;
  };
  void work();
  void run(const Job& job);

  ServiceState& state_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool busy_ = false;  ///< with a job
  WorkPermit permit_;
  std::thread thread_;
};

}  // namespace ropejit::internal
