#include <future>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "codegen/default_variant.hpp"
#include "ropejit/service.hpp"
#include "service/binary_source.hpp"
#include "service/kernel_state.hpp"
#include "service/single_flight.hpp"
#include "service/targets.hpp"
#include "spec/limits.hpp"
#include "spec/lower.hpp"
#include "store/store.hpp"
#include "support/field_error.hpp"

namespace ropejit {
namespace internal {

/// A kernel and how it came to be.
struct Made {
  std::shared_ptr<const PreparedKernel> kernel;
  std::vector<VariantInfo> variants;  ///< the table's rows, then the universal entry
};

struct ServiceState {
  explicit ServiceState(ServiceOptions given) : options(std::move(given)), store(cache_directory(options.cache_dir)) {}

  std::shared_ptr<const Target> target() {
    const std::lock_guard lock(mutex_);
    if (!opened_) opened_ = open_target(options);
    return opened_;
  }

  const ServiceOptions options;
  const BinaryStore store;
  SingleFlight<std::string, Made> kernels;  ///< by plan hash

 private:
  std::mutex mutex_;
  std::shared_ptr<const Target> opened_;
};

namespace {

/// The binaries of `sources`, in order. What the store lacks is compiled side by side: NVRTC and the host compiler
/// both allow it. Where no thread can be had, this one compiles.
std::vector<LoadedBinary> load_all(std::vector<BinarySource>& sources) {
  std::vector<std::optional<LoadedBinary>> stored;
  for (BinarySource& source : sources) stored.push_back(source.load_stored());
  std::vector<std::future<CompiledBinary>> compiling(sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (stored[i]) continue;
    const auto compile = [&source = sources[i]] { return source.compile(); };
    compiling[i] = std::async(std::launch::async | std::launch::deferred, compile);
  }
  std::vector<LoadedBinary> binaries;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    binaries.push_back(stored[i] ? *std::move(stored[i]) : sources[i].load_compiled(compiling[i].get()));
  }
  return binaries;
}

Made prepare(const RotationPlan& plan, ServiceState& state) {
  const std::shared_ptr<const Target> target = state.target();
  const KernelClass& kernel_class = plan.kernel_class;
  const std::vector<VariantChoice> choices = serving_variants(plan, target->multiprocessors());

  std::vector<BinarySource> sources;
  for (const VariantChoice& choice : choices) {
    sources.emplace_back(plan, choice.variant, *target, state.store, state.options.warn);
  }
  std::vector<LoadedBinary> binaries = load_all(sources);

  Made made;
  auto kernel = std::make_shared<PreparedKernel>();
  kernel->target = target;
  kernel->kernel_class = kernel_class;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    binaries[i].info.min_tokens = choices[i].min_tokens;
    made.variants.push_back(std::move(binaries[i].info));
    kernel->table.push_back(
        prepared_variant(kernel_class, choices[i].variant, choices[i].min_tokens, std::move(binaries[i].kernel)));
  }
  kernel->universal = std::move(kernel->table.back());
  kernel->table.pop_back();
  kernel->needs_length = plan.needs_length;
  if (plan.needs_length) kernel->step_buffers = std::make_shared<StepBuffers>(target);
  made.kernel = std::move(kernel);
  return made;
}

std::shared_ptr<const PreparedKernel> with_lengths(const PreparedKernel& kernel, std::vector<ResolvedSteps> lengths) {
  auto resolved = std::make_shared<PreparedKernel>(kernel);
  resolved->lengths = std::move(lengths);
  return resolved;
}

}  // namespace
}  // namespace internal

inline namespace v0 {

const char* to_string(CacheRung rung) noexcept {
  switch (rung) {
    case CacheRung::memory: return "memory";
    case CacheRung::disk: return "disk";
    case CacheRung::miss: return "miss";
  }
  return "?";
}

RopeService::RopeService(ServiceOptions options)
    : state_(std::make_shared<internal::ServiceState>(std::move(options))) {}
RopeService::~RopeService() = default;
RopeService::RopeService(const RopeService&) = default;
RopeService::RopeService(RopeService&&) noexcept = default;
RopeService& RopeService::operator=(const RopeService&) = default;
RopeService& RopeService::operator=(RopeService&&) noexcept = default;

RopeKernel RopeService::get(const RopeSpec& spec, const LaunchForm& form) const {
  const internal::RotationPlan plan = internal::lower(spec, form);
  const std::string plan_hash = plan.hash();
  auto [made, was_there] = state_->kernels.get(plan_hash, [&] { return internal::prepare(plan, *state_); });

  auto state = std::make_shared<internal::KernelState>();
  state->prepared = made.kernel;
  if (made.kernel->needs_length) {
    state->prepared =
        internal::with_lengths(*made.kernel, internal::steps_by_length(spec, form, *made.kernel->step_buffers));
  }
  state->spec = spec;
  state->form = form;
  state->info.device = made.kernel->target->name();
  state->info.arch = made.kernel->target->arch();
  state->info.class_hash = plan.kernel_class.hash();
  state->info.plan_hash = plan_hash;
  state->info.variants = std::move(made.variants);
  if (was_there) {
    for (VariantInfo& variant : state->info.variants) {
      variant.cache = CacheRung::memory;
      variant.compile_ms = 0;
      variant.load_us = 0;
    }
  }
  return RopeKernel(std::move(state));
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
  return internal::launch_prepared(*state_->prepared, args, stream);
}

namespace {
const internal::KernelState& require(const std::shared_ptr<const internal::KernelState>& state) {
  if (!state) throw Error(ErrorCode::not_prepared, "kernel", "the kernel handle is empty");
  return *state;
}
}  // namespace

RopeKernel RopeKernel::at_length(std::int64_t length) const {
  const internal::KernelState& state = require(state_);
  if (!internal::kContextLength.contains(length)) {
    throw internal::field_error(ErrorCode::invalid_argument, "length", fmt::format("{}", length),
                                internal::kContextLength.describe());
  }
  if (!state.prepared->needs_length) return *this;
  auto resolved = std::make_shared<internal::KernelState>(state);
  resolved->spec.max_length = length;
  const internal::RotationPlan plan = internal::lower(resolved->spec, state.form);
  resolved->prepared = internal::with_lengths(*state.prepared, {state.prepared->step_buffers->of(plan)});
  return RopeKernel(std::move(resolved));
}

const VariantInfo& RopeKernel::variant_for(std::int64_t tokens) const {
  const internal::KernelState& state = require(state_);
  return state.info.variants[internal::row_for(*state.prepared, tokens)];
}
const KernelInfo& RopeKernel::info() const { return require(state_).info; }
const RopeSpec& RopeKernel::spec() const { return require(state_).spec; }
const LaunchForm& RopeKernel::form() const { return require(state_).form; }

}  // namespace v0
}  // namespace ropejit
