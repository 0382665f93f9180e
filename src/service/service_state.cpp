#include "service/service_state.hpp"

#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "service/background_tuner.hpp"
#include "service/targets.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"
#include "tune/record_file.hpp"

namespace ropejit::internal {
namespace {

Tuning tuning_of(const ServiceOptions& options) {
  if (options.tuning) return *options.tuning;
  const char* const value = std::getenv("ROPEJIT_TUNING");
  if (value == nullptr || *value == '\0') return Tuning::off;
  return tuning_named("ROPEJIT_TUNING", value);
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
  for (const std::int64_t tokens : options.tuning_tokens) {
    if (tokens >= 1 && tokens < (std::int64_t{1} << 31)) continue;
    throw field_error(ErrorCode::invalid_argument, "tuning_tokens", fmt::format("{}", tokens), "1 to 2147483647");
  }
}

}  // namespace

Tuning tuning_named(std::string_view field, std::string_view name) {
  for (const Tuning tuning : {Tuning::off, Tuning::on_demand, Tuning::background}) {
    if (name == to_string(tuning)) return tuning;
  }
  throw field_error(ErrorCode::invalid_argument, std::string(field), quoted(name), kTuningNames);
}

ServiceState::ServiceState(ServiceOptions given)
    : options(std::move(given)),
      tuning(tuning_of(options)),
      store(store_options(options.cache_dir)),
      records(records_path(store.directory()), store.options().trust, options.warn) {
  check(options);
}

ServiceState::~ServiceState() = default;

std::shared_ptr<const Target> ServiceState::target() {
  const std::lock_guard lock(mutex_);
  if (!opened_) opened_ = open_target(options);
  return opened_;
}

BackgroundTuner& ServiceState::background() {
  const std::lock_guard lock(mutex_);
  if (!background_) background_ = std::make_unique<BackgroundTuner>(*this);
  return *background_;
}

void ServiceState::offer(const std::shared_ptr<KernelCell>& cell, Served better) {
  if (options.swap_when_tuned) return cell->put(std::move(better));
  const std::lock_guard lock(mutex_);
  offered_.emplace_back(cell, std::move(better));
}

std::size_t ServiceState::commit() {
  std::vector<std::pair<std::shared_ptr<KernelCell>, Served>> offered;
  {
    const std::lock_guard lock(mutex_);
    offered.swap(offered_);
  }
  for (auto& [cell, better] : offered) cell->put(std::move(better));
  return offered.size();
}

}  // namespace ropejit::internal
