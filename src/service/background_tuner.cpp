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

}  // namespace

BackgroundTuner::BackgroundTuner(ServiceState& state)
    : state_(state), permit_(state.options.tuning_share, [&state] { return state.target()->is_capturing(); }) {}

BackgroundTuner::~BackgroundTuner() {
  {
    // Locked, so that the thread cannot miss it between looking and waiting.
    const std::lock_guard lock(mutex_);
    permit_.stop();
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

bool BackgroundTuner::wait(double seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return jobs_.empty() && !busy_; });
}

void BackgroundTuner::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return permit_.is_stopped() || !jobs_.empty(); });
      if (permit_.is_stopped()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      busy_ = true;
    }
    run(job);
    permit_.rest();
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
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
    options.may_go_on = [this](double device_us) { return permit_.wait(device_us); };
    FreshBinaries fresh;
    if (!options.tokens.empty()) fresh = tune_class(state_, plan, options);
    if (permit_.is_stopped()) return;
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

}  // namespace ropejit::internal
