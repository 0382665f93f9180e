#include "support/targets.hpp"

#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "codegen/default_variant.hpp"
#include "codegen/generate.hpp"
#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "cuda/cuda_target.hpp"
#include "host/host_target.hpp"
#include "launch/generic_variant.hpp"
#include "ropejit/error.hpp"
#include "support/catch.hpp"
#include "support/parallel.hpp"

namespace ropejit::test {
namespace {

// A short run compiles the first kernel that a test case prepares, and of those behind it a third, the same ones each
// time: drawn, since lists of cases have periods.
bool next_is_compiled() {
  static std::string test;
  static std::mt19937_64 random;
  if (!short_run()) return true;
  const std::string name = Catch::getResultCapture().getCurrentTestName();
  const bool first = name != test;
  if (first) random.seed(5489);
  test = name;
  return random() % 3 == 0 || first;
}

}  // namespace

std::vector<TargetPtr> targets() {
  static const std::vector<TargetPtr> all = [] {
    const char* chosen = std::getenv("ROPEJIT_TEST_DEVICES");
    const std::string names = chosen != nullptr ? chosen : "host,cuda";
    std::vector<TargetPtr> found;
    if (names.find("host") != std::string::npos) found.push_back(internal::host_target(std::nullopt));
    if (names.find("cuda") != std::string::npos && internal::cuda_info().devices > 0) {
      found.push_back(internal::cuda_target(0, std::nullopt));
    }
    return found;
  }();
  for (const TargetPtr& target : all) target->make_current();
  return all;
}

internal::PreparedVariant prepare_variant(const TargetPtr& target, const internal::RotationPlan& plan,
                                          const internal::Variant& variant, std::int64_t min_tokens) {
  internal::PreparedVariant prepared = std::move(prepare_variants(target, plan, {variant}).front());
  prepared.min_tokens = min_tokens;
  return prepared;
}

bool only_generic() {
  static const bool only = std::getenv("ROPEJIT_TEST_GENERIC") != nullptr;
  return only;
}

bool short_run() {
  static const bool chosen = std::getenv("ROPEJIT_TEST_SHORT") != nullptr;
  return chosen;
}

std::optional<internal::PreparedVariant> generic_in_place_of_next(const TargetPtr& target,
                                                                  const internal::RotationPlan& plan) {
  return next_is_compiled() ? std::nullopt : internal::generic_variant(*target, plan);
}

std::vector<internal::PreparedVariant> prepare_variants(const TargetPtr& target, const internal::RotationPlan& plan,
                                                        const std::vector<internal::Variant>& variants) {
  if (only_generic()) {
    const std::optional<internal::PreparedVariant> generic = internal::generic_variant(*target, plan);
    if (!generic) throw Error(ErrorCode::load_failed, "test", "no generic kernel was built in");
    return std::vector<internal::PreparedVariant>(variants.size(), *generic);
  }
  std::vector<internal::KernelSource> sources;
  for (const internal::Variant& variant : variants) sources.push_back(internal::generate(plan, variant));
  std::vector<std::string> images(variants.size());
  const internal::Compiler& compiler = target->compiler();
  internal::parallel_for(static_cast<std::int64_t>(variants.size()), [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    images[at] = compiler.compile(sources[at]).image;
  });
  std::vector<internal::PreparedVariant> prepared;
  for (std::size_t i = 0; i < variants.size(); ++i) {
    prepared.push_back(
        internal::prepared_variant(plan.kernel_class, variants[i], 0, target->load(images[i], sources[i])));
  }
  return prepared;
}

internal::PreparedKernel kernel_of(const TargetPtr& target, const internal::RotationPlan& plan,
                                   const internal::PreparedVariant& fast, const internal::PreparedVariant& universal) {
  internal::PreparedKernel kernel;
  kernel.target = target;
  kernel.kernel_class = plan.kernel_class;
  kernel.constants = internal::PreparedConstants(plan);
  kernel.table.push_back(fast);
  kernel.universal = universal;
  return kernel;
}

internal::PreparedKernel prepare(const TargetPtr& target, const internal::RotationPlan& plan) {
  if (const std::optional<internal::PreparedVariant> generic = generic_in_place_of_next(target, plan)) {
    internal::PreparedKernel kernel = kernel_of(target, plan, *generic, *generic);
    kernel.needs_length = plan.needs_length;
    return kernel;
  }
  internal::PreparedKernel kernel;
  kernel.target = target;
  kernel.kernel_class = plan.kernel_class;
  kernel.constants = internal::PreparedConstants(plan);
  for (const internal::VariantChoice& choice : internal::serving_variants(plan, target->multiprocessors())) {
    kernel.table.push_back(prepare_variant(target, plan, choice.variant, choice.min_tokens));
  }
  kernel.universal = std::move(kernel.table.back());
  kernel.table.pop_back();
  kernel.needs_length = plan.needs_length;
  return kernel;
}

}  // namespace ropejit::test
