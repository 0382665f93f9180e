#include "service/background_tuner.hpp"

#include <chrono>
#include <system_error>

#include <fmt/format.h>

#include "service/tuning.hpp"
#include "spec/lower.hpp"
#include "tune/choice.hpp"

namespace ropejit::internal {
namespace {

/// Leaves the other cores to the process it is a guest of.
constexpr unsigned kCompileThreads = 1;
/// How often it looks whether a stream is still being captured.
constexpr std::chrono::milliseconds kCaptureTick{5};

}  // namespace

BackgroundTuner::~BackgroundTuner() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BackgroundTuner::add(const RopeSpec& spec, const LaunchForm& form, const std::shared_ptr<KernelCell>& cell) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back({spec, form, cell});
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    jobs_.clear();
    if (state_.options.warn) state_.options.warn(fmt::format("no tuning in the background: {}", error.what()));
  }
  changed_.notify_all();
}

void BackgroundTuner::pause() {
  std::unique_lock lock(mutex_);
  ++pauses_;
  changed_.wait(lock, [this] { return !at_work_; });
}

void BackgroundTuner::resume() {
  {
    const std::lock_guard lock(mutex_);
    --pauses_;
  }
  changed_.notify_all();
}

bool BackgroundTuner::wait(double seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return jobs_.empty() && !busy_; });
}

void BackgroundTuner::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      busy_ = true;
    }
    run(job);
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
      at_work_ = false;
    }
    changed_.notify_all();
  }
}

void BackgroundTuner::run(const Job& job) {
  try {
    const RotationPlan plan = plan_to_time(job.spec, job.form);
    TuneOptions options;
    options.tokens = sizes_to_tune(state_, plan.kernel_class);
    options.compile_threads = kCompileThreads;
    options.may_go_on = [this](double device_us) { return may_go_on(device_us); };
    FreshBinaries fresh;
    if (!options.tokens.empty()) fresh = tune_class(state_, plan, options);
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    const RotationPlan served = lower(job.spec, job.form);
    const std::shared_ptr<const Target> target = state_.target();
    target->make_current();
    state_.offer(job.cell, make_kernel(served, target, state_.store, state_.options.warn,
                                       state_.records.about(device_key_of(*target), served.kernel_class), fresh,
                                       job.cell->current().kernel->step_buffers));
  } catch (const std::exception& error) {
    if (state_.options.warn) state_.options.warn(fmt::format("tuning in the background failed: {}", error.what()));
  }
}

bool BackgroundTuner::may_go_on(double device_us) {
  std::unique_lock lock(mutex_);
  at_work_ = false;
  changed_.notify_all();
  const double rest_us = device_us * (1 / state_.options.tuning_share - 1);
  changed_.wait_for(lock, std::chrono::duration<double, std::micro>(rest_us), [this] { return stop_; });
  while (!stop_ && (pauses_ > 0 || state_.target()->is_capturing())) changed_.wait_for(lock, kCaptureTick);
  at_work_ = !stop_;
  return !stop_;
}

}  // namespace ropejit::internal
