#include "service/kernel_maker.hpp"

#include <functional>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include "codegen/candidates.hpp"
#include "codegen/generic.hpp"
#include "launch/generic_variant.hpp"
#include "ropejit/error.hpp"
#include "service/binary_source.hpp"
#include "tune/choice.hpp"

namespace ropejit::internal {
namespace {

/// One of the variants that were chosen, on its way up the ladder.
struct Rung {
  BinarySource source;
  std::optional<LoadedBinary> binary;
};

/// The binary of the class, which serves whatever its steps are.
std::optional<LoadedBinary> load_buffered(const RotationPlan& plan, const KernelParts& parts, Rung& rung) {
  if (plan.needs_length || plan.kernel_class.reads_table()) return std::nullopt;
  Variant variant = rung.source.variant();
  variant.buffered_steps = true;
  BinarySource twin(plan, variant, *parts.target, parts.store, parts.events);
  std::optional<LoadedBinary> binary = twin.load_stored();
  if (!binary) {
    for (const std::string& line : twin.missed()) rung.source.add_missed(fmt::format("steps in a buffer: {}", line));
    return std::nullopt;
  }
  binary->info.missed = rung.source.missed();
  parts.events.note(fmt::format("{}: serves with steps in a buffer", binary->info.entry));
  return binary;
}

void find_all(const RotationPlan& plan, const KernelParts& parts, std::vector<Rung>& rungs) {
  for (Rung& rung : rungs) {
    if (const auto found = parts.fresh.find(rung.source.variant()); found != parts.fresh.end()) {
      rung.source.keep(found->second);
      rung.binary = rung.source.load_compiled(found->second);
      continue;
    }
    rung.binary = rung.source.load_stored();
    if (!rung.binary) rung.binary = load_buffered(plan, parts, rung);
  }
}

/// What is missing is compiled side by side: NVRTC and the host compiler both allow it. Where no thread can be had,
/// this one compiles. The first failure, if there is one.
std::optional<Error> compile_all(std::vector<Rung>& rungs, std::chrono::milliseconds lock_bound) {
  std::vector<std::future<ObtainedBinary>> compiling(rungs.size());
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    if (rungs[i].binary) continue;
    const auto obtain = [&source = std::as_const(rungs[i].source), lock_bound] { return source.obtain(lock_bound); };
    compiling[i] = std::async(std::launch::async | std::launch::deferred, obtain);
  }
  std::optional<Error> failure;
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    if (!compiling[i].valid()) continue;
    try {
      rungs[i].binary = rungs[i].source.load(compiling[i].get());
    } catch (const Error& error) {
      rungs[i].source.add_missed(fmt::format("compiler: {}", error.what()));
      if (!failure) failure = error;
    }
  }
  return failure;
}

bool may_compile(OnMiss on_miss) { return on_miss == OnMiss::compile || on_miss == OnMiss::background; }

/// The first variant that is stored among those that nobody chose: slower than one that was chosen, faster than the
/// generic kernel. Looks for many files, so only where nothing is compiled, and no row has its binary.
std::optional<LoadedBinary> load_any(const RotationPlan& plan, const KernelParts& parts) {
  for (Variant variant : candidate_variants(plan.kernel_class)) {
    variant.buffered_steps = plan.needs_length;
    Rung rung{BinarySource(plan, variant, *parts.target, parts.store, parts.events), std::nullopt};
    if (auto found = rung.source.load_stored()) return found;
    if (auto found = load_buffered(plan, parts, rung)) return found;
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const RotationPlan& plan, const KernelParts& parts, const Rung& missing,
                         const std::optional<Error>& failure) {
  if (failure) throw Error(*failure);
  throw Error(ErrorCode::not_cached, "get",
              fmt::format("{} for {} (plan {}) is in no cache, and compiling is not allowed: {}; to add it: run this "
                          "once with ROPEJIT_RECORD=FILE, then `ropejit warm --recorded FILE --arch {}`",
                          missing.source.entry(), parts.target->arch(), plan.hash(),
                          missing.source.missed().empty() ? "there is no cache"
                                                          : fmt::format("{}", fmt::join(missing.source.missed(), "; ")),
                          parts.target->arch()));
}

/// The kernel that is built into the library, for what is missing; nothing where it may not serve or is not there.
std::optional<PreparedVariant> generic_for(const RotationPlan& plan, const KernelParts& parts) {
  if (parts.on_miss == OnMiss::error) return std::nullopt;
  return generic_variant(*parts.target, plan);
}

void tell_of_generic(const KernelParts& parts, const Rung& missing) {
  parts.events.count([](ServiceStats& stats) { ++stats.generic_kernels; });
  const std::string line =
      fmt::format("the generic kernel serves for {}: {}", missing.source.entry(),
                  missing.source.missed().empty() ? "there is no cache" : missing.source.missed().back());
  // While binaries are on their way it is what was asked for.
  if (parts.on_miss == OnMiss::background) {
    parts.events.note(line);
  } else {
    parts.events.warn(line);
  }
}

VariantInfo generic_info(const std::vector<std::string>& missed) {
  VariantInfo info;
  info.variant = "generic";
  info.entry = kGenericEntry;
  info.cache = CacheRung::generic;
  info.missed = missed;
  return info;
}

/// A row of the table, with what there is to say of it; the universal entry is added last, as a row.
void add_row(PreparedKernel& kernel, std::int64_t min_tokens, PreparedVariant row, VariantInfo info) {
  row.min_tokens = info.min_tokens = min_tokens;
  kernel.table.push_back(std::move(row));
  kernel.info.variants.push_back(std::move(info));
}

void add_row(PreparedKernel& kernel, const ServingChoice& choice, const LoadedBinary& binary) {
  VariantInfo info = binary.info;
  info.by = choice.by;
  info.octaves = choice.octaves;
  info.tuned_tokens = choice.tuned_tokens;
  add_row(kernel, choice.min_tokens, prepared_variant(kernel.kernel_class, binary.variant, 0, binary.kernel),
          std::move(info));
}

/// What all rows have in common, once they are there.
void finish(PreparedKernel& kernel, const RotationPlan& plan, const KernelParts& parts) {
  const bool buffered =
      llvm::any_of(kernel.table, [](const PreparedVariant& row) { return row.variant.buffered_steps; });
  if (buffered && !plan.needs_length) kernel.own_steps = parts.buffers->of(plan);
  kernel.universal = std::move(kernel.table.back());
  kernel.table.pop_back();
  kernel.target = parts.target;
  kernel.needs_length = plan.needs_length;
  kernel.step_buffers = parts.buffers;
  kernel.info.device = parts.target->name();
  kernel.info.arch = parts.target->arch();
  kernel.info.class_hash = plan.kernel_class.hash();
  kernel.info.plan_hash = plan.hash();
}

/// For a row whose own binary is missing, that of the nearest row that has one: slower than it, faster than the generic
/// kernel. Of no use to the universal entry, which takes what no row does.
const LoadedBinary* nearest_row(const std::vector<ServingChoice>& choices, std::size_t row,
                                const std::function<const LoadedBinary*(const ServingChoice&)>& binary_of) {
  const std::size_t universal = choices.size() - 1;
  if (row == universal) return nullptr;
  for (std::size_t away = 1; away < universal; ++away) {
    if (away <= row) {
      if (const LoadedBinary* binary = binary_of(choices[row - away])) return binary;
    }
    if (row + away < universal) {
      if (const LoadedBinary* binary = binary_of(choices[row + away])) return binary;
    }
  }
  return nullptr;
}

}  // namespace

std::shared_ptr<const PreparedKernel> make_kernel(const RotationPlan& plan, const KernelParts& parts) {
  const std::vector<ServingChoice> choices =
      serving_choices(plan, device_key_of(*parts.target), parts.target->multiprocessors(), parts.records);
  std::vector<Rung> rungs;
  std::map<Variant, std::size_t> places;
  for (const ServingChoice& choice : choices) {
    if (!places.try_emplace(choice.variant, rungs.size()).second) continue;
    rungs.push_back({BinarySource(plan, choice.variant, *parts.target, parts.store, parts.events), std::nullopt});
  }
  find_all(plan, parts, rungs);
  std::optional<Error> failure;
  if (parts.on_miss == OnMiss::compile) failure = compile_all(rungs, parts.lock_bound);

  const auto binary_of = [&](const ServingChoice& choice) -> const LoadedBinary* {
    const std::optional<LoadedBinary>& binary = rungs[places.at(choice.variant)].binary;
    return binary ? &*binary : nullptr;
  };
  // What serves a row that neither has a binary nor a neighbour with one: any other of the class, else the universal
  // entry, which takes every launch.
  std::optional<LoadedBinary> other;
  bool looked = false;
  const auto stand_in = [&](std::size_t row) -> const LoadedBinary* {
    if (row == choices.size() - 1) return nullptr;
    if (!looked && !may_compile(parts.on_miss)) {
      other = load_any(plan, parts);
      if (other) other->info.missed = rungs[places.at(choices[row].variant)].source.missed();
    }
    looked = true;
    return other ? &*other : binary_of(choices.back());
  };
  std::optional<PreparedVariant> generic;
  auto kernel = std::make_shared<PreparedKernel>();
  kernel->kernel_class = plan.kernel_class;
  kernel->constants = PreparedConstants(plan);
  for (std::size_t row = 0; row < choices.size(); ++row) {
    const LoadedBinary* binary = binary_of(choices[row]);
    if (binary == nullptr) kernel->complete = false;
    if (binary == nullptr) binary = nearest_row(choices, row, binary_of);
    if (binary == nullptr) binary = stand_in(row);
    if (binary != nullptr) {
      add_row(*kernel, choices[row], *binary);
      continue;
    }
    const Rung& missing = rungs[places.at(choices[row].variant)];
    if (!generic) {
      generic = generic_for(plan, parts);
      if (!generic) refuse(plan, parts, missing, failure);
      tell_of_generic(parts, missing);
    }
    add_row(*kernel, choices[row].min_tokens, *generic, generic_info(missing.source.missed()));
  }
  finish(*kernel, plan, parts);
  return kernel;
}

}  // namespace ropejit::internal
