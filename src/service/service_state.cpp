#include "service/service_state.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "codegen/template_folder.hpp"
#include "ropejit/error.hpp"
#include "service/background.hpp"
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

void expect(bool is_allowed, const char* what, const std::string& found, const char* allowed) {
  if (!is_allowed) throw field_error(ErrorCode::invalid_argument, what, found, allowed);
}

/// The option, else what the variable names, else `usual`.
template <class Choice>
Choice choice_of(const std::optional<Choice>& option, const char* variable, Choice usual) {
  if (option) return *option;
  const std::string_view value = environment(variable);
  return value.empty() ? usual : enum_named<Choice>(variable, value);
}

bool is_frozen(const std::optional<bool>& option) {
  if (option) return *option;
  const std::string_view text = environment("ROPEJIT_FROZEN");
  expect(text.empty() || text == "0" || text == "1", "ROPEJIT_FROZEN", quoted(text), "0 or 1");
  return text == "1";
}

void check_frozen(Tuning tuning, OnMiss on_miss) {
  expect(tuning == Tuning::off, "tuning", to_string(tuning), "off, where the service is frozen");
  expect(on_miss == OnMiss::error || on_miss == OnMiss::generic, "on_miss", to_string(on_miss),
         "error or generic, where the service is frozen");
  expect(templates_folder().empty(), "ROPEJIT_TEMPLATES", quoted(templates_folder()),
         "none, where the service is frozen");
}

void check(const ServiceOptions& options) {
  const auto text = [](auto number) { return fmt::format("{}", number); };
  expect(options.tuning_share > 0 && options.tuning_share <= 1, "tuning_share", text(options.tuning_share),
         "above 0, up to 1");
  expect(options.tuning_budget_ms > 0, "tuning_budget_ms", text(options.tuning_budget_ms), "above 0");
  expect(options.most_kernels >= 0, "most_kernels", text(options.most_kernels), "0 (no bound) or more");
  for (const std::int64_t tokens : options.tuning_tokens) {
    expect(tokens >= 1 && tokens < (std::int64_t{1} << 31), "tuning_tokens", text(tokens), "1 to 2147483647");
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
  std::shared_ptr<const Target> device = opened_.with([&](std::shared_ptr<const Target>& opened) {
    is_new = !opened;
    if (is_new) opened = open_target(options);
    return opened;
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

RecordSet ServiceState::known_of(const KernelClass& kernel_class) {
  return records.about(device_key_of(*target()), kernel_class);
}

std::shared_ptr<const PreparedKernel> ServiceState::make(const RotationPlan& plan, const RecordSet& known,
                                                         const FreshBinaries& fresh,
                                                         const std::shared_ptr<StepBuffers>& buffers,
                                                         OnMiss when_missing) {
  return make_kernel(plan, {target(), store, events, known, fresh, buffers, when_missing, lock_bound});
}

void ServiceState::note_request(const RopeSpec& spec, const LaunchForm& form, const RotationPlan& plan,
                                const RecordSet& known) {
  if (!requests.is_on()) return;
  const std::shared_ptr<const Target> device = target();
  const DeviceKey key = device_key_of(*device);
  requests.add(request_line(spec, form, key, serving_choices(plan, key, device->multiprocessors(), known)));
}

void ServiceState::offer(const std::shared_ptr<KernelCell>& cell, std::shared_ptr<const PreparedKernel> better) {
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
