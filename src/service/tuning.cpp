#include "service/tuning.hpp"

#include <future>

#include <fmt/format.h>

#include "spec/lower.hpp"
#include "tune/choice.hpp"

namespace ropejit::internal {

RotationPlan plan_to_time(const RopeSpec& spec, const LaunchForm& form) {
  RotationPlan plan = lower(spec, form);
  if (!plan.needs_length) return plan;
  RopeSpec settled = spec;
  settled.max_length = 4096;
  return lower(settled, form);
}

std::vector<std::int64_t> sizes_to_tune(ServiceState& state, const KernelClass& kernel_class, const RecordSet& known) {
  const std::vector<std::int64_t>& wanted =
      state.options.tuning_tokens.empty() ? usual_sizes() : state.options.tuning_tokens;
  return untuned_sizes(kernel_class, device_key_of(*state.target()), known, wanted);
}

FreshBinaries tune_class(ServiceState& state, const RotationPlan& plan, const TuneOptions& options) {
  const auto warn = [&](const std::string& line) { state.events.warn(line); };
  FreshBinaries fresh;
  try {
    const std::shared_ptr<const Target> target = state.target();
    target->make_current();
    const TuneResult result = tune(*target, plan, options, [&](const Variant& variant, const CompiledBinary& binary) {
      fresh.emplace(variant, binary);
    });
    for (const std::string& problem : result.problems) warn(fmt::format("tuning: {}", problem));
    for (const TunedSize& size : result.sizes) {
      if (!size.problem.empty() && !result.stopped)
        warn(fmt::format("tuning at {} tokens: {}", size.tokens, size.problem));
    }
    state.events.count([](ServiceStats& stats) { ++stats.classes_tuned; });
    state.records.add(records_of(*target, plan.kernel_class, result));
  } catch (const std::exception& error) {
    warn(fmt::format("tuning failed, defaults serve: {}", error.what()));
  }
  return fresh;
}

FreshBinaries tune_class_aside(ServiceState& state, const RotationPlan& plan, const TuneOptions& options) {
  try {
    return std::async(std::launch::async, [&] { return tune_class(state, plan, options); }).get();
  } catch (const std::system_error&) {
    // No thread to be had.
    return {};
  }
}

}  // namespace ropejit::internal
