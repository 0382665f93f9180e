// The targets that numerical tests run on: the host always, and the GPU where there is one. ROPEJIT_TEST_DEVICES
// ("host", "cuda" or "host,cuda") chooses.
#pragma once

#include <memory>
#include <vector>

#include "codegen/variant.hpp"
#include "service/prepared_kernel.hpp"
#include "spec/plan.hpp"
#include "target/target.hpp"

namespace ropejit::test {

using TargetPtr = std::shared_ptr<const internal::Target>;

/// Opened once a process, current on the calling thread.
std::vector<TargetPtr> targets();

/// A kernel whose table and universal entry are these variants alone, compiled afresh: nothing is kept.
internal::PreparedKernel prepare(const TargetPtr& target, const internal::RotationPlan& plan,
                                 const internal::Variant& fast, const internal::Variant& universal);

/// With the default variants, as RopeService::get makes it.
internal::PreparedKernel prepare(const TargetPtr& target, const internal::RotationPlan& plan);

}  // namespace ropejit::test
