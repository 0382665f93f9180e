// A numeric case from spec to comparison, for tests that are lists of cases.
#pragma once

#include <optional>

#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/numeric_case.hpp"

namespace ropejit::test {

/// With one binary, which serves every launch: the universal entry, or the first variant of the table. The latter takes
/// only tensors that keep the form's promise.
inline internal::PreparedKernel prepare_one(const TargetPtr& target, const internal::RotationPlan& plan,
                                            bool universal) {
  const internal::Variant variant =
      universal ? internal::universal_variant(plan.kernel_class)
                : internal::default_variants(plan.kernel_class, target->multiprocessors()).front().variant;
  const internal::PreparedVariant prepared = prepare_variant(target, plan, variant);
  return kernel_of(target, plan, prepared, prepared);
}

/// The same, or in a short run perhaps the generic kernel: for what is compared with other than kernels.
inline internal::PreparedKernel prepare_quickly(const TargetPtr& target, const internal::RotationPlan& plan,
                                                bool universal) {
  if (const auto generic = generic_in_place_of_next(target, plan)) return kernel_of(target, plan, *generic, *generic);
  return prepare_one(target, plan, universal);
}

inline void check_case(const internal::PreparedKernel& kernel, const NumericCase& given, std::uint64_t seed) {
  INFO(kernel.target->name() << " " << given.to_string());
  const NumericResult result = run_case(kernel, given, seed);
  INFO(result.to_string());
  CHECK(result.passed());
}

/// Prepared as RopeService::get would; see generic_in_place_of_next() for a short run.
inline void check_case(const TargetPtr& target, const NumericCase& given, std::uint64_t seed) {
  INFO(given.to_string());
  check_case(prepare(target, internal::lower(given.spec, given.form)), given, seed);
}

/// One of the two kinds of binary: for long lists, where compiling both takes too long.
inline void check_case_quickly(const TargetPtr& target, const NumericCase& given, std::uint64_t seed, bool universal) {
  INFO(given.to_string() << (universal ? " universal" : " fast"));
  check_case(prepare_quickly(target, internal::lower(given.spec, given.form), universal), given, seed);
}

}  // namespace ropejit::test
