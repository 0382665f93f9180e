#include "service/job_thread.hpp"

#include <unistd.h>

#include <chrono>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace ropejit::internal {
namespace {

/// The threads that run. Never destroyed: whoever comes late at exit must still find it.
class Running {
 public:
  void add(JobThread* thread) {
    const std::lock_guard lock(mutex_);
    threads_.insert(thread);
  }
  /// Waits while the thread is being stopped by stop_all.
  void remove(JobThread* thread) {
    const std::lock_guard lock(mutex_);
    threads_.erase(thread);
  }
  void stop_all() {
    const std::lock_guard lock(mutex_);
    for (JobThread* thread : threads_) thread->stop();
    threads_.clear();
  }

 private:
  std::mutex mutex_;
  std::set<JobThread*> threads_;
};

Running& running() {
  static Running* const all = new Running;
  return *all;
}

/// What exit destroys in the reverse order of making: whatever was loaded before one of these is still there then.
struct StopAtExit {
  ~StopAtExit() { running().stop_all(); }
};

}  // namespace

JobThread::~JobThread() {
  if (!is_of_this_process()) {
    // Of the parent's thread only its name is here.
    if (thread_.joinable()) thread_.detach();
    return;
  }
  running().remove(this);
  stop();
}

bool JobThread::is_of_this_process() const { return process_ == 0 || process_ == ::getpid(); }

bool JobThread::add(std::function<void()> job) {
  static const StopAtExit at_exit;
  if (!is_of_this_process()) return false;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return false;
    jobs_.push_back(std::move(job));
    if (!thread_.joinable()) {
      try {
        thread_ = std::thread([this] { work(); });
      } catch (const std::system_error&) {
        jobs_.clear();
        return false;
      }
      process_ = ::getpid();
    }
  }
  // Not under the lock: stop_all holds its own while it asks for this one.
  running().add(this);
  changed_.notify_all();
  return true;
}

bool JobThread::wait(double seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return jobs_.empty() && !busy_; });
}

void JobThread::stop() {
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    jobs_.clear();
    thread.swap(thread_);
  }
  if (on_stop_) on_stop_();
  changed_.notify_all();
  if (thread.joinable()) thread.join();
}

void JobThread::end_before_what_is_loaded_now() { static const StopAtExit at_exit; }

void JobThread::work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopped_ || !jobs_.empty(); });
      if (stopped_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      busy_ = true;
    }
    job();
    job = nullptr;  // what it holds is let go before anybody is told
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
    }
    changed_.notify_all();
  }
}

}  // namespace ropejit::internal
