// From a plan to a kernel that serves it: the variants that records or defaults choose, from the store or the compiler.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string_view>

#include "codegen/variant.hpp"
#include "launch/step_buffers.hpp"
#include "service/kernel_cell.hpp"
#include "spec/plan.hpp"
#include "store/store.hpp"
#include "target/target.hpp"
#include "tune/record_set.hpp"

namespace ropejit::internal {

/// Binaries that were compiled a moment ago, and need not be again.
using FreshBinaries = std::map<Variant, CompiledBinary>;

/// Each binary once, what is neither fresh nor stored compiled side by side. `buffers`: where the plan needs a length.
/// Loads on this thread, into its current context. Throws Error.
Served make_kernel(const RotationPlan& plan, const std::shared_ptr<const Target>& target, const BinaryStore& store,
                   const std::function<void(std::string_view)>& warn, const RecordSet& records,
                   const FreshBinaries& fresh, const std::shared_ptr<StepBuffers>& buffers);

}  // namespace ropejit::internal
