// A thread that does one job after another, and never outlives the process that it is in.
#pragma once

#include <functional>
#include <memory>

namespace ropejit::internal {

/// Thread-safe. The thread begins with the first job and ends with the object: the job in hand is finished, those that
/// wait are dropped. So it is when the process exits while somebody still holds the object: a thread that runs while
/// the process is taken down would use what is gone. It is of one process: a child of fork leaves those of its parent
/// alone (support/per_process.hpp), and does not end them at its exit.
class JobThread {
 public:
  /// `on_stop` is called when the thread is to end, before that is waited for: to hurry the job in hand. It must not
  /// throw.
  explicit JobThread(std::function<void()> on_stop = {});
  ~JobThread();
  JobThread(const JobThread&) = delete;
  JobThread& operator=(const JobThread&) = delete;

  /// False where no thread can be had, or the object is stopped: the job is not done then. A job must not throw.
  bool add(std::function<void()> job);

  /// Waits until all jobs are done, or so many seconds have passed. True: all are done.
  bool wait(double seconds);

  /// Ends the thread for good; waits for the job in hand.
  void stop();

  /// To be called from a job once it has loaded libraries: at exit the thread then ends before they are taken down.
  static void end_before_what_is_loaded_now();

 private:
  struct Inside;
  void work();

  std::unique_ptr<Inside> inside_;
};

}  // namespace ropejit::internal
