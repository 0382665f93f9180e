#include "service/job_thread.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

namespace ropejit::internal {
namespace {

/// The threads that run. Never destroyed: whoever comes late at exit must still find it.
class Running {
 public:
  void add(JobThread* thread) {
    const std::lock_guard lock(mutex_);
    forget_parents();
    threads_.insert(thread);
  }
  /// Waits while the thread is being stopped by stop_all.
  void remove(JobThread* thread) {
    const std::lock_guard lock(mutex_);
    forget_parents();
    threads_.erase(thread);
  }
  void stop_all() {
    const std::lock_guard lock(mutex_);
    forget_parents();
    for (JobThread* thread : threads_) thread->stop();
    threads_.clear();
  }

 private:
  void forget_parents() {
    if (process_ == ::getpid()) return;
    process_ = ::getpid();
    threads_.clear();
  }

  std::mutex mutex_;
  pid_t process_ = ::getpid();
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

struct JobThread::Inside {
  explicit Inside(std::function<void()> stopping) : on_stop(std::move(stopping)) {}

  const std::function<void()> on_stop;
  const pid_t process = ::getpid();
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;
  bool busy = false;
  bool stopped = false;
  std::thread thread;
};

JobThread::JobThread(std::function<void()> on_stop) : inside_(std::make_unique<Inside>(std::move(on_stop))) {}

JobThread::~JobThread() {
  if (!is_of_this_process()) {
    // The parent's thread may hold its locks and wait on its condition, which cannot be destroyed then.
    static_cast<void>(inside_.release());
    return;
  }
  running().remove(this);
  stop();
}

bool JobThread::is_of_this_process() const { return inside_->process == ::getpid(); }

bool JobThread::add(std::function<void()> job) {
  static const StopAtExit at_exit;
  if (!is_of_this_process()) return false;
  {
    const std::lock_guard lock(inside_->mutex);
    if (inside_->stopped) return false;
    inside_->jobs.push_back(std::move(job));
    if (!inside_->thread.joinable()) {
      try {
        inside_->thread = std::thread([this] { work(); });
      } catch (const std::system_error&) {
        inside_->jobs.clear();
        return false;
      }
    }
  }
  // Not under the lock: stop_all holds its own while it asks for this one.
  running().add(this);
  inside_->changed.notify_all();
  return true;
}

bool JobThread::wait(double seconds) {
  if (!is_of_this_process()) return true;
  // Beyond some centuries the clock overflows; no number is none.
  const std::chrono::duration<double> bound(seconds > 0 ? std::min(seconds, 1e9) : 0.0);
  std::unique_lock lock(inside_->mutex);
  return inside_->changed.wait_for(lock, bound, [this] { return inside_->jobs.empty() && !inside_->busy; });
}

void JobThread::stop() {
  std::thread thread;
  {
    const std::lock_guard lock(inside_->mutex);
    inside_->stopped = true;
    inside_->jobs.clear();
    thread.swap(inside_->thread);
  }
  if (inside_->on_stop) inside_->on_stop();
  inside_->changed.notify_all();
  if (thread.joinable()) thread.join();
}

void JobThread::end_before_what_is_loaded_now() { static const StopAtExit at_exit; }

void JobThread::work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(inside_->mutex);
      inside_->changed.wait(lock, [this] { return inside_->stopped || !inside_->jobs.empty(); });
      if (inside_->stopped) return;
      job = std::move(inside_->jobs.front());
      inside_->jobs.pop_front();
      inside_->busy = true;
    }
    job();
    job = nullptr;  // what it holds is let go before anybody is told
    {
      const std::lock_guard lock(inside_->mutex);
      inside_->busy = false;
    }
    inside_->changed.notify_all();
  }
}

}  // namespace ropejit::internal
