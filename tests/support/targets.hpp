// The targets that numerical tests run on: the host always, and the GPU where there is one. ROPEJIT_TEST_DEVICES
// ("host", "cuda" or "host,cuda") chooses. With ROPEJIT_TEST_GENERIC set, the generic kernel stands in for every
// variant that they prepare: what all of them check holds for it, too. With ROPEJIT_TEST_SHORT set, which is the usual
// run of ctest (./dev test), long lists of cases compile a third of their kernels: the generic kernel takes the other
// cases, random draws are half as many, and machine code is looked at for fewer architectures. ./dev test --all leaves
// it unset.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "codegen/variant.hpp"
#include "launch/prepared_kernel.hpp"
#include "spec/plan.hpp"
#include "target/target.hpp"

namespace ropejit::test {

using TargetPtr = std::shared_ptr<const internal::Target>;

/// Opened once a process, current on the calling thread.
std::vector<TargetPtr> targets();

/// ROPEJIT_TEST_GENERIC.
bool only_generic();

/// ROPEJIT_TEST_SHORT.
bool short_run();

/// For what prepares a kernel of which another may stand in: the generic one, where this is a short run and the next
/// kernel is not among those that it compiles. These are the first of a test case, and of those behind it a third.
std::optional<internal::PreparedVariant> generic_in_place_of_next(const TargetPtr& target,
                                                                  const internal::RotationPlan& plan);

/// A variant, compiled and loaded afresh: nothing is kept.
internal::PreparedVariant prepare_variant(const TargetPtr& target, const internal::RotationPlan& plan,
                                          const internal::Variant& variant, std::int64_t min_tokens = 0);

/// The same of several, compiled on all cores.
std::vector<internal::PreparedVariant> prepare_variants(const TargetPtr& target, const internal::RotationPlan& plan,
                                                        const std::vector<internal::Variant>& variants);

/// A kernel whose table is one variant.
internal::PreparedKernel kernel_of(const TargetPtr& target, const internal::RotationPlan& plan,
                                   const internal::PreparedVariant& fast, const internal::PreparedVariant& universal);

/// With the default variants, as RopeService::get makes it; see generic_in_place_of_next() for a short run.
internal::PreparedKernel prepare(const TargetPtr& target, const internal::RotationPlan& plan);

}  // namespace ropejit::test
