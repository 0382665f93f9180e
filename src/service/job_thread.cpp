#include "service/job_thread.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "support/made_once.hpp"
#include "support/per_process.hpp"

namespace ropejit::internal {
namespace {

using Threads = std::set<JobThread*>;

/// The threads that run. Never destroyed: whoever comes late at exit must still find it.
const PerProcess<Threads>& running() {
  static constinit MadeOnce<PerProcess<Threads>> all;
  return all.get([] { return PerProcess<Threads>(); });
}

/// With the lock held: whoever ends one of them waits.
void stop_all() {
  running().with([](Threads& threads) {
    for (JobThread* thread : threads) thread->stop();
    threads.clear();
  });
}

/// Handlers of exit are called in the reverse order: whatever was loaded before one of these is still there then. `by`:
/// the process that has called it; a child of fork calls it anew, as its parent may have been about to.
void stop_all_at_exit(std::atomic<pid_t>& by) {
  const pid_t process = ::getpid();
  if (by.exchange(process) != process) std::atexit(stop_all);
}

}  // namespace

struct JobThread::Inside {
  explicit Inside(std::function<void()> stopping) : on_stop(std::move(stopping)) {}

  const std::function<void()> on_stop;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;
  bool busy = false;
  bool stopped = false;
  std::thread thread;
};

JobThread::JobThread(std::function<void()> on_stop) : inside_(std::make_unique<Inside>(std::move(on_stop))) {}

JobThread::~JobThread() {
  running().with([this](Threads& threads) { threads.erase(this); });
  stop();
}

bool JobThread::add(std::function<void()> job) {
  static constinit std::atomic<pid_t> told{0};
  stop_all_at_exit(told);
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
  running().with([this](Threads& threads) { threads.insert(this); });
  inside_->changed.notify_all();
  return true;
}

bool JobThread::wait(double seconds) {
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

void JobThread::end_before_what_is_loaded_now() {
  static constinit std::atomic<pid_t> told{0};
  stop_all_at_exit(told);
}

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
