#include "service/service_state.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "codegen/template_folder.hpp"
#include "ropejit/error.hpp"
#include "service/background_compiler.hpp"
#include "service/background_tuner.hpp"
#include "service/targets.hpp"
#include "spec/lower.hpp"
#include "spec/names.hpp"
#include "store/key_lock.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"
#include "tune/choice.hpp"
#include "tune/record_file.hpp"

namespace ropejit::internal {
namespace {

/// The option, else what the variable names, else `usual`.
template <class Choice>
Choice choice_of(const std::optional<Choice>& option, const char* variable, Choice usual) {
  if (option) return *option;
  const char* const value = std::getenv(variable);
  return value == nullptr || *value == '\0' ? usual : enum_named<Choice>(variable, value);
}

bool is_frozen(const std::optional<bool>& option) {
  if (option) return *option;
  const char* const value = std::getenv("ROPEJIT_FROZEN");
  const std::string_view text = value == nullptr ? "" : value;
  if (text != "" && text != "0" && text != "1") {
    throw field_error(ErrorCode::invalid_argument, "ROPEJIT_FROZEN", quoted(text), "0 or 1");
  }
  return text == "1";
}

void check_frozen(Tuning tuning, OnMiss on_miss) {
  if (tuning != Tuning::off) {
    throw field_error(ErrorCode::invalid_argument, "tuning", to_string(tuning), "off, where the service is frozen");
  }
  if (on_miss != OnMiss::error && on_miss != OnMiss::generic) {
    throw field_error(ErrorCode::invalid_argument, "on_miss", to_string(on_miss),
                      "error or generic, where the service is frozen");
  }
  if (!templates_folder().empty()) {
    throw field_error(ErrorCode::invalid_argument, "ROPEJIT_TEMPLATES", quoted(templates_folder()),
                      "none, where the service is frozen");
  }
}

void check(const ServiceOptions& options) {
  if (!(options.tuning_share > 0 && options.tuning_share <= 1)) {
    throw field_error(ErrorCode::invalid_argument, "tuning_share", fmt::format("{}", options.tuning_share),
                      "above 0, up to 1");
  }
  if (!(options.tuning_budget_ms > 0)) {
    throw field_error(ErrorCode::invalid_argument, "tuning_budget_ms", fmt::format("{}", options.tuning_budget_ms),
                      "above 0");
  }
  if (options.most_kernels < 0) {
    throw field_error(ErrorCode::invalid_argument, "most_kernels", fmt::format("{}", options.most_kernels),
                      "0 (no bound) or more");
  }
  for (const std::int64_t tokens : options.tuning_tokens) {
    if (tokens >= 1 && tokens < (std::int64_t{1} << 31)) continue;
    throw field_error(ErrorCode::invalid_argument, "tuning_tokens", fmt::format("{}", tokens), "1 to 2147483647");
  }
}

}  // namespace

ServiceState::ServiceState(ServiceOptions given)
    : options(std::move(given)),
      frozen(is_frozen(options.frozen)),
      tuning(choice_of(options.tuning, "ROPEJIT_TUNING", Tuning::off)),
      on_miss(choice_of(options.on_miss, "ROPEJIT_ON_MISS", frozen ? OnMiss::error : OnMiss::compile)),
      lock_bound(lock_timeout()),
      events(options.warn, options.log),
      store(frozen ? only_read(store_options(options.cache_dir)) : store_options(options.cache_dir)),
      records(store, events),
      requests(events),
      kernels(static_cast<std::size_t>(std::max<std::int64_t>(options.most_kernels, 0)), [this](std::size_t count) {
        events.count([count](ServiceStats& stats) { stats.kernels_forgotten += count; });
      }) {
  check(options);
  if (frozen) check_frozen(tuning, on_miss);
}

ServiceState::~ServiceState() = default;

std::shared_ptr<const Target> ServiceState::target() {
  bool is_new = false;
  std::shared_ptr<const Target> device = opened_.with([&](Opened& opened) {
    is_new = !opened.target;
    if (is_new) opened.target = open_target(options);
    return opened.target;
  });
  if (is_new) take_up_what_is_left();
  return device;
}

/// In the process that made the service nothing is left when it opens its device.
void ServiceState::take_up_what_is_left() {
  for (const Shelved& kernel : kernels.all()) {
    if (kernel.cell->awaits_compile.load()) compiler().add(lower(kernel.spec, kernel.form), kernel.cell);
    if (kernel.cell->awaits_tuning.load()) tuner().add(kernel.spec, kernel.form, kernel.cell);
  }
}

std::shared_ptr<const Target> ServiceState::target_of_background() {
  std::shared_ptr<const Target> device = target();
  device->compiler();
  JobThread::end_before_what_is_loaded_now();
  device->make_current();
  return device;
}

void ServiceState::go_on() {
  if (!kernels.empty()) target();
}

BackgroundTuner& ServiceState::tuner() {
  return workers_.with([this](Workers& workers) -> BackgroundTuner& {
    if (!workers.tuner) workers.tuner = std::make_unique<BackgroundTuner>(*this);
    return *workers.tuner;
  });
}

BackgroundCompiler& ServiceState::compiler() {
  return workers_.with([this](Workers& workers) -> BackgroundCompiler& {
    if (!workers.compiler) workers.compiler = std::make_unique<BackgroundCompiler>(*this);
    return *workers.compiler;
  });
}

Served ServiceState::make(const RotationPlan& plan, const FreshBinaries& fresh,
                          const std::shared_ptr<StepBuffers>& buffers, OnMiss when_missing) {
  const std::shared_ptr<const Target> device = target();
  const RecordSet known = records.about(device_key_of(*device), plan.kernel_class);
  return make_kernel(plan, {device, store, events, known, fresh, buffers, when_missing, lock_bound});
}

void ServiceState::note_request(const RopeSpec& spec, const LaunchForm& form, const RotationPlan& plan) {
  if (!requests.is_on()) return;
  const std::shared_ptr<const Target> device = target();
  const DeviceKey key = device_key_of(*device);
  const RecordSet known = records.about(key, plan.kernel_class);
  requests.add(request_line(spec, form, key, serving_choices(plan, key, device->multiprocessors(), known)));
}

void ServiceState::offer(const std::shared_ptr<KernelCell>& cell, Served better) {
  if (!options.swap_when_tuned) {
    return offered_.with([&](Offered& offered) { offered.emplace_back(cell, std::move(better)); });
  }
  cell->put(std::move(better));
  cell->awaits_tuning.store(false);
}

std::size_t ServiceState::commit() {
  Offered offered = offered_.with([](Offered& all) { return std::exchange(all, {}); });
  for (auto& [cell, better] : offered) {
    cell->put(std::move(better));
    cell->awaits_tuning.store(false);
  }
  return offered.size();
}

}  // namespace ropejit::internal
