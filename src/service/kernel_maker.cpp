#include "service/kernel_maker.hpp"

#include <future>
#include <optional>
#include <utility>
#include <vector>

#include "service/binary_source.hpp"
#include "tune/choice.hpp"

namespace ropejit::internal {
namespace {

/// What the store lacks is compiled side by side: NVRTC and the host compiler both allow it. Where no thread can be
/// had, this one compiles.
std::vector<LoadedBinary> load_all(std::vector<BinarySource>& sources, const std::vector<Variant>& variants,
                                   const FreshBinaries& fresh) {
  std::vector<std::optional<LoadedBinary>> loaded(sources.size());
  std::vector<std::future<CompiledBinary>> compiling(sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (const auto found = fresh.find(variants[i]); found != fresh.end()) {
      loaded[i] = sources[i].load_compiled(found->second);
    } else {
      loaded[i] = sources[i].load_stored();
    }
  }
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (loaded[i]) continue;
    const auto compile = [&source = sources[i]] { return source.compile(); };
    compiling[i] = std::async(std::launch::async | std::launch::deferred, compile);
  }
  std::vector<LoadedBinary> binaries;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    binaries.push_back(loaded[i] ? *std::move(loaded[i]) : sources[i].load_compiled(compiling[i].get()));
  }
  return binaries;
}

}  // namespace

Served make_kernel(const RotationPlan& plan, const std::shared_ptr<const Target>& target, const BinaryStore& store,
                   const std::function<void(std::string_view)>& warn, const RecordSet& records,
                   const FreshBinaries& fresh, const std::shared_ptr<StepBuffers>& buffers) {
  const KernelClass& kernel_class = plan.kernel_class;
  const std::vector<ServingChoice> choices =
      serving_choices(plan, device_key_of(*target), target->multiprocessors(), records);

  std::vector<BinarySource> sources;
  std::vector<Variant> variants;
  std::map<Variant, std::size_t> places;
  for (const ServingChoice& choice : choices) {
    if (!places.try_emplace(choice.variant, variants.size()).second) continue;
    variants.push_back(choice.variant);
    sources.emplace_back(plan, choice.variant, *target, store, warn);
  }
  const std::vector<LoadedBinary> binaries = load_all(sources, variants, fresh);

  Served made;
  auto kernel = std::make_shared<PreparedKernel>();
  kernel->target = target;
  kernel->kernel_class = kernel_class;
  for (const ServingChoice& choice : choices) {
    const LoadedBinary& binary = binaries[places.at(choice.variant)];
    VariantInfo info = binary.info;
    info.min_tokens = choice.min_tokens;
    info.by = choice.by;
    info.octaves = choice.octaves;
    info.tuned_tokens = choice.tuned_tokens;
    made.info.variants.push_back(std::move(info));
    kernel->table.push_back(prepared_variant(kernel_class, choice.variant, choice.min_tokens, binary.kernel));
  }
  kernel->universal = std::move(kernel->table.back());
  kernel->table.pop_back();
  kernel->needs_length = plan.needs_length;
  kernel->step_buffers = buffers;
  made.info.device = target->name();
  made.info.arch = target->arch();
  made.info.class_hash = kernel_class.hash();
  made.info.plan_hash = plan.hash();
  made.kernel = std::move(kernel);
  return made;
}

}  // namespace ropejit::internal
