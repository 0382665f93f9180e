// What a RopeKernel stands on: loaded entries and the table that picks one by size. Immutable once made.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codegen/variant.hpp"
#include "codegen/work.hpp"
#include "launch/stage_constants.hpp"
#include "launch/step_buffers.hpp"
#include "ropejit/error.hpp"
#include "ropejit/info.hpp"
#include "ropejit/tensor.hpp"
#include "spec/plan.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

/// A loaded variant with what a launch needs of it.
struct PreparedVariant {
  std::int64_t min_tokens = 0;
  Variant variant;
  Work work;
  std::shared_ptr<const LoadedKernel> kernel;
};

PreparedVariant prepared_variant(const KernelClass& kernel_class, const Variant& variant, std::int64_t min_tokens,
                                 std::shared_ptr<const LoadedKernel> kernel);

struct PreparedKernel {
  std::shared_ptr<const Target> target;  ///< keeps the driver's device alive as long as the handles
  KernelClass kernel_class;
  PreparedConstants constants;         ///< RotationPlan::constants
  std::vector<PreparedVariant> table;  ///< in order of min_tokens; the first has 0
  PreparedVariant universal;
  bool needs_length = false;  ///< all of its variants read steps from a buffer, which the launch's length decides
  std::shared_ptr<StepBuffers> step_buffers;
  ResolvedSteps own_steps;  ///< for variants that read steps from a buffer, of a plan that needs no length
  KernelInfo info;          ///< its variants are the rows of the table and the universal entry; empty for trials
  bool complete = true;     ///< every variant that was chosen is there, in its own form or in that of its class
};

/// A kernel of one variant, which is the universal entry too: for tensors that keep the form's promise.
PreparedKernel kernel_of_one(const RotationPlan& plan, const Variant& variant,
                             std::shared_ptr<const LoadedKernel> kernel);

/// Whether any entry of the kernel was launched.
bool was_launched(const PreparedKernel& kernel) noexcept;

/// The row of the table that serves `tokens`.
std::size_t row_for(const PreparedKernel& kernel, std::int64_t tokens) noexcept;

/// Checks the arguments, picks the entry and queues it. The hot path: no allocation, lock, hash, log or getenv.
/// `lengths`, in order of up_to, is what a launch takes its steps from where the kernel needs a length.
LaunchStatus launch_prepared(const PreparedKernel& kernel, std::span<const ResolvedSteps> lengths, const RopeArgs& args,
                             void* stream) noexcept;
inline LaunchStatus launch_prepared(const PreparedKernel& kernel, const RopeArgs& args, void* stream) noexcept {
  return launch_prepared(kernel, {}, args, stream);
}

}  // namespace ropejit::internal
