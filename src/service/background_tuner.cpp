#include "service/background_tuner.hpp"

#include <fmt/format.h>

#include "service/tuning.hpp"
#include "spec/lower.hpp"

namespace ropejit::internal {
namespace {

/// Leaves the other cores to the process it is a guest of.
constexpr unsigned kCompileThreads = 1;

}  // namespace

BackgroundTuner::BackgroundTuner(ServiceState& state)
    : state_(state),
      permit_(state.options.tuning_share, [&state] { return state.target()->is_capturing(); }),
      thread_([this] { permit_.stop(); }) {}

void BackgroundTuner::add(const RopeSpec& spec, const LaunchForm& form, const std::shared_ptr<KernelCell>& cell) {
  cell->awaits_tuning.store(true);
  const bool taken = thread_.add([this, spec, form, cell] {
    tune(spec, form, cell);
    permit_.rest();
  });
  if (taken) return;
  cell->awaits_tuning.store(false);
  state_.events.warn("no tuning in the background: no thread can be had");
}

void BackgroundTuner::tune(const RopeSpec& spec, const LaunchForm& form, const std::shared_ptr<KernelCell>& cell) {
  try {
    state_.target_of_background();
    const RotationPlan plan = plan_to_time(spec, form);
    TuneOptions options;
    options.tokens = sizes_to_tune(state_, plan.kernel_class);
    options.compile_threads = kCompileThreads;
    options.may_go_on = [this](double device_us) { return permit_.wait(device_us); };
    FreshBinaries fresh;
    if (!options.tokens.empty()) fresh = tune_class(state_, plan, options);
    if (permit_.is_stopped()) return;
    state_.offer(cell, state_.make(lower(spec, form), fresh, cell->current().kernel->step_buffers, OnMiss::compile));
  } catch (const std::exception& error) {
    cell->awaits_tuning.store(false);
    state_.events.warn(fmt::format("tuning in the background failed: {}", error.what()));
  }
}

}  // namespace ropejit::internal
