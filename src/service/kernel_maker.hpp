// From a plan to a kernel that serves it: the variants that records or defaults choose, each from the first rung of the
// ladder that has it: fresh, the store's directories, a binary of the class with its steps in a buffer, the compiler;
// and where all of them fail the generic kernel.
#pragma once

#include <chrono>
#include <map>
#include <memory>

#include "codegen/variant.hpp"
#include "launch/prepared_kernel.hpp"
#include "ropejit/options.hpp"
#include "service/events.hpp"
#include "spec/plan.hpp"
#include "store/store.hpp"
#include "target/target.hpp"
#include "tune/record_set.hpp"

namespace ropejit::internal {

/// Binaries that were compiled a moment ago, and need not be compiled again.
using FreshBinaries = std::map<Variant, CompiledBinary>;

/// What a kernel is made with. All must outlive the call.
struct KernelParts {
  std::shared_ptr<const Target> target;
  const BinaryStore& store;
  Events& events;
  const RecordSet& records;
  const FreshBinaries& fresh;
  std::shared_ptr<StepBuffers> buffers;  ///< the kernel's, which it had before it is made anew, too
  OnMiss on_miss = OnMiss::compile;      ///< background counts as generic here
  std::chrono::milliseconds lock_bound;
};

/// Makes the kernel. It gets each binary once, compiles side by side, and loads on this thread, into its current
/// context. Throws Error: compile_failed where nothing else serves either, not_cached.
std::shared_ptr<const PreparedKernel> make_kernel(const RotationPlan& plan, const KernelParts& parts);

}  // namespace ropejit::internal
