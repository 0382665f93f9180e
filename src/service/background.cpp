#include "service/background.hpp"

#include <fmt/format.h>

#include "service/tuning.hpp"
#include "spec/lower.hpp"

namespace ropejit::internal {

void BackgroundCompiler::add(const RotationPlan& plan, const std::shared_ptr<KernelCell>& cell) {
  cell->awaits_compile.store(true);
  if (thread_.add([this, plan, cell] { compile(plan, *cell); })) return;
  cell->awaits_compile.store(false);
  state_.events.warn("nothing is compiled in the background: no thread can be had; the generic kernel serves");
}

void BackgroundCompiler::compile(const RotationPlan& plan, KernelCell& cell) {
  try {
    if (cell.current().complete) return cell.awaits_compile.store(false);
    state_.target_of_background();
    auto made = state_.make(plan, state_.known_of(plan.kernel_class), {}, cell.current().step_buffers, OnMiss::compile);
    if (made->complete) cell.put(std::move(made));
  } catch (const std::exception& error) {
    state_.events.warn(fmt::format("compiling in the background failed, the generic kernel serves: {}", error.what()));
  }
  cell.awaits_compile.store(false);
}

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
    options.tokens = sizes_to_tune(state_, plan.kernel_class, state_.known_of(plan.kernel_class));
    options.compile_threads = 1;  // the other cores are left to the process that this is a guest of
    options.may_go_on = [this](double device_us) { return permit_.wait(device_us); };
    FreshBinaries fresh;
    if (!options.tokens.empty()) fresh = tune_class(state_, plan, options);
    if (permit_.is_stopped()) return;
    const RecordSet known = state_.known_of(plan.kernel_class);
    state_.offer(cell, state_.make(lower(spec, form), known, fresh, cell->current().step_buffers, OnMiss::compile));
  } catch (const std::exception& error) {
    cell->awaits_tuning.store(false);
    state_.events.warn(fmt::format("tuning in the background failed: {}", error.what()));
  }
}

}  // namespace ropejit::internal
