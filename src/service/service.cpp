#include "ropejit/service.hpp"

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "service/background.hpp"
#include "service/service_state.hpp"
#include "service/tuning.hpp"
#include "spec/limits.hpp"
#include "spec/lower.hpp"
#include "spec/names.hpp"
#include "support/field_error.hpp"
#include "support/usual_arithmetic.hpp"
#include "tune/choice.hpp"

namespace ropejit {
namespace internal {

template <>
inline constexpr std::array kNames<ChosenBy>{Named{ChosenBy::untuned, "untuned"}, Named{ChosenBy::near, "near"},
                                             Named{ChosenBy::exact, "exact"}};
template <>
inline constexpr std::array kNames<CacheRung>{Named{CacheRung::memory, "memory"}, Named{CacheRung::disk, "disk"},
                                              Named{CacheRung::shared, "shared"}, Named{CacheRung::miss, "miss"},
                                              Named{CacheRung::generic, "generic"}};

/// What one RopeKernel handle shares with its copies: the kernel, and how its get came by it.
struct KernelState {
  std::shared_ptr<const KernelCell> cell;
  std::vector<ResolvedSteps> lengths;  ///< by up_to, where the scaling depends on a length
  RopeSpec spec;
  LaunchForm form;
  const PreparedKernel* at_get = nullptr;  ///< what served when this handle was made
  KernelInfo info;                         ///< what there is to say of that, as this get came by it
};

namespace {

std::shared_ptr<KernelCell> make_cell(const RopeSpec& spec, const LaunchForm& form, const RotationPlan& plan,
                                      ServiceState& state) {
  const std::shared_ptr<const Target> target = state.target();
  RecordSet known = state.known_of(plan.kernel_class);
  FreshBinaries fresh;
  if (state.tuning == Tuning::on_demand && !target->is_capturing()) {
    TuneOptions options;
    options.tokens = sizes_to_tune(state, plan.kernel_class, known);
    options.budget_s = state.options.tuning_budget_ms / 1e3;
    if (!options.tokens.empty()) {
      fresh = tune_class_aside(state, plan_to_time(spec, form), options);
      known = state.known_of(plan.kernel_class);
    }
  }
  state.note_request(spec, form, plan, known);
  const auto buffers = std::make_shared<StepBuffers>(target);
  auto cell = std::make_shared<KernelCell>(state.make(plan, known, fresh, buffers, state.on_miss));
  if (!cell->current().complete && state.on_miss == OnMiss::background) state.compiler().add(plan, cell);
  if (state.tuning == Tuning::background && !sizes_to_tune(state, plan.kernel_class, known).empty()) {
    state.tuner().add(spec, form, cell);
  }
  return cell;
}

/// Once in a while: what a kernel lacked may be there now, or compile. It never gets worse by it.
void complete(const RotationPlan& plan, const std::shared_ptr<KernelCell>& cell, ServiceState& state) {
  if (cell->current().complete || !cell->is_due()) return;
  if (state.on_miss == OnMiss::background) return state.compiler().add(plan, cell);
  try {
    auto made = state.make(plan, state.known_of(plan.kernel_class), {}, cell->current().step_buffers, state.on_miss);
    if (made->complete) cell->put(std::move(made));
  } catch (const Error& error) {
    state.events.warn(error.what());
  }
}

}  // namespace
}  // namespace internal

inline namespace v0 {

const char* to_string(ChosenBy by) noexcept { return internal::name_of(by); }
const char* to_string(CacheRung rung) noexcept { return internal::name_of(rung); }

RopeService::RopeService(ServiceOptions options)
    : state_(std::make_shared<internal::ServiceState>(std::move(options))) {}
RopeService::~RopeService() = default;
RopeService::RopeService(const RopeService&) = default;
RopeService::RopeService(RopeService&&) noexcept = default;
RopeService& RopeService::operator=(const RopeService&) = default;
RopeService& RopeService::operator=(RopeService&&) noexcept = default;

RopeKernel RopeService::get(const RopeSpec& spec, const LaunchForm& form) const try {
  const internal::UsualArithmetic arithmetic;
  const internal::RotationPlan plan = internal::lower(spec, form);
  state_->target();  // which may not be used in every child of fork, whatever is in memory
  auto [cell, was_there] =
      state_->kernels.get(plan.hash(), spec, form, [&] { return internal::make_cell(spec, form, plan, *state_); });
  state_->events.count([there = was_there](ServiceStats& stats) {
    ++stats.gets;
    if (there) ++stats.memory_hits;
  });

  if (was_there) internal::complete(plan, cell, *state_);
  auto state = std::make_shared<internal::KernelState>();
  const internal::PreparedKernel& served = cell->current();
  if (served.needs_length) state->lengths = internal::steps_by_length(spec, form, *served.step_buffers);
  state->spec = spec;
  state->form = form;
  state->at_get = &served;
  state->info = served.info;
  if (was_there) {
    for (VariantInfo& variant : state->info.variants) {
      if (variant.cache != CacheRung::generic) variant.cache = CacheRung::memory;
      variant.compile_ms = 0;
      variant.load_us = 0;
    }
  }
  state->cell = std::move(cell);
  return RopeKernel(std::move(state));
} catch (...) {
  state_->events.count([](ServiceStats& stats) { ++stats.gets_failed; });
  throw;
}

bool RopeService::wait_for_compiles(double seconds) const {
  state_->go_on();
  return state_->compiler().wait(seconds);
}

bool RopeService::forget(const RopeSpec& spec, const LaunchForm& form) const {
  return state_->kernels.forget(internal::lower(spec, form).hash());
}

std::size_t RopeService::forget_unused() const { return state_->kernels.forget_unused(); }

ServiceStats RopeService::stats() const { return state_->events.stats(); }

std::size_t RopeService::commit_tuned() const {
  const internal::UsualArithmetic arithmetic;
  return state_->commit();
}

void RopeService::pause_tuning() const { state_->tuner().pause(); }
void RopeService::resume_tuning() const { state_->tuner().resume(); }
bool RopeService::wait_for_tuning(double seconds) const {
  state_->go_on();
  return state_->tuner().wait(seconds);
}

const std::string& RopeService::cache_dir() const { return state_->store.directory(); }

RopeKernel::RopeKernel() = default;
RopeKernel::RopeKernel(std::shared_ptr<const internal::KernelState> state) : state_(std::move(state)) {}
RopeKernel::~RopeKernel() = default;
RopeKernel::RopeKernel(const RopeKernel&) = default;
RopeKernel::RopeKernel(RopeKernel&&) noexcept = default;
RopeKernel& RopeKernel::operator=(const RopeKernel&) = default;
RopeKernel& RopeKernel::operator=(RopeKernel&&) noexcept = default;

LaunchStatus RopeKernel::launch(const RopeArgs& args, void* stream) const noexcept {
  if (!state_)
    return {ErrorCode::not_prepared, 0, "the kernel handle is empty, allowed: one that RopeService::get returned"};
  return internal::launch_prepared(state_->cell->current(), state_->lengths, args, stream);
}

namespace {
const internal::KernelState& require(const std::shared_ptr<const internal::KernelState>& state) {
  if (!state) throw Error(ErrorCode::not_prepared, "kernel", "the kernel handle is empty");
  return *state;
}
}  // namespace

RopeKernel RopeKernel::at_length(std::int64_t length) const {
  const internal::UsualArithmetic arithmetic;
  const internal::KernelState& state = require(state_);
  if (!internal::kContextLength.contains(length)) {
    throw internal::field_error(ErrorCode::invalid_argument, "length", fmt::format("{}", length),
                                internal::kContextLength.describe());
  }
  const internal::PreparedKernel& kernel = state.cell->current();
  if (!kernel.needs_length) return *this;
  auto resolved = std::make_shared<internal::KernelState>(state);
  resolved->spec.max_length = length;
  resolved->lengths = {kernel.step_buffers->of(internal::lower(resolved->spec, state.form))};
  return RopeKernel(std::move(resolved));
}

const VariantInfo& RopeKernel::variant_for(std::int64_t tokens) const {
  const internal::KernelState& state = require(state_);
  const internal::PreparedKernel& served = state.cell->current();
  const KernelInfo& info = &served == state.at_get ? state.info : served.info;
  return info.variants[internal::row_for(served, tokens)];
}
const KernelInfo& RopeKernel::info() const {
  const internal::KernelState& state = require(state_);
  const internal::PreparedKernel& served = state.cell->current();
  return &served == state.at_get ? state.info : served.info;
}
const RopeSpec& RopeKernel::spec() const { return require(state_).spec; }
const LaunchForm& RopeKernel::form() const { return require(state_).form; }

}  // namespace v0
}  // namespace ropejit
