#include <utility>

#include "codegen/work.hpp"
#include "service/launch_arguments.hpp"
#include "service/prepared_kernel.hpp"

namespace ropejit::internal {

namespace {

/// The longest sequence of a launch, in tokens, where the host can know it. Of counted forms what it may be at most.
std::int64_t length_of(const KernelClass& kernel_class, const RopeArgs& args) noexcept {
  std::int64_t length = args.tokens;
  const bool shared = kernel_class.context_parallel != ContextParallel::none;
  if (args.positions.source != PositionSource::start ||
      (shared && __builtin_mul_overflow(length, args.positions.ranks, &length)) ||
      __builtin_add_overflow(length, args.positions.first, &length)) {
    return kAnyLength;
  }
  return length;
}

const void* steps_for(const PreparedKernel& kernel, const RopeArgs& args) noexcept {
  const std::int64_t length = length_of(kernel.kernel_class, args);
  for (const ResolvedSteps& resolved : kernel.lengths) {
    if (length <= resolved.up_to) return resolved.steps.get();
    // The count on the device decides between this row and the next.
    if (kernel.kernel_class.counted) return nullptr;
  }
  return nullptr;
}

}  // namespace

PreparedVariant prepared_variant(const KernelClass& kernel_class, const Variant& variant, std::int64_t min_tokens,
                                 std::shared_ptr<const LoadedKernel> kernel) {
  return {min_tokens, variant, block_of(kernel_class, variant), access_widths(kernel_class, variant),
          std::move(kernel)};
}

std::size_t row_for(const PreparedKernel& kernel, std::int64_t tokens) noexcept {
  std::size_t row = 0;
  while (row + 1 < kernel.table.size() && kernel.table[row + 1].min_tokens <= tokens) ++row;
  return row;
}

LaunchStatus launch_prepared(const PreparedKernel& kernel, const RopeArgs& args, void* stream) noexcept {
  LaunchArguments arguments;
  if (const LaunchStatus status = check_arguments(kernel.kernel_class, args, arguments); !status) return status;
  if (arguments.tokens == 0) return {};
  const PreparedVariant& fast = kernel.table[row_for(kernel, arguments.tokens)];
  const PreparedVariant& chosen = arguments.allow(fast.widths) ? fast : kernel.universal;
  if (kernel.needs_length) {
    arguments.params.steps = static_cast<const unsigned long long*>(steps_for(kernel, args));
    if (arguments.params.steps == nullptr) {
      return {ErrorCode::not_prepared, 0,
              "the scaling depends on the length of the sequences, which this launch does not tell or which is beyond "
              "max_position_embeddings, allowed: a kernel from RopeKernel::at_length, or a spec with max_length"};
    }
  }
  const Grid grid = grid_for(arguments.tokens, chosen.block);
  if (grid.x == 0) {
    return {ErrorCode::invalid_argument, 0, "tokens: found more than one launch can hold, allowed: fewer at a time"};
  }
  arguments.params.tokens_per_slab = grid.tokens_per_slab;
  const int result = chosen.kernel->launch({grid.x, grid.y, chosen.variant.threads}, arguments.params, stream);
  if (result != 0) return {ErrorCode::launch_failed, result, "the driver refused the launch"};
  return {};
}

}  // namespace ropejit::internal
