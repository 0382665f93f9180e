#include <algorithm>
#include <utility>

#include "codegen/work.hpp"
#include "launch/launch_arguments.hpp"
#include "launch/prepared_kernel.hpp"

namespace ropejit::internal {

namespace {

/// The longest sequence of a launch, in tokens, where the host can know it. Of counted forms what it may be at most.
std::int64_t length_of(const KernelClass& kernel_class, const RopeArgs& args) noexcept {
  std::int64_t length = args.tokens;
  const bool shared = kernel_class.form.context_parallel != ContextParallel::none;
  if (args.positions.source != PositionSource::start ||
      (shared && __builtin_mul_overflow(length, args.positions.ranks, &length)) ||
      __builtin_add_overflow(length, args.positions.first, &length)) {
    return kAnyLength;
  }
  return length;
}

/// Null: not known.
const ResolvedSteps* steps_for(const PreparedKernel& kernel, std::span<const ResolvedSteps> lengths,
                               const RopeArgs& args) noexcept {
  const std::int64_t length = length_of(kernel.kernel_class, args);
  for (const ResolvedSteps& resolved : lengths) {
    if (length <= resolved.up_to) return &resolved;
    // The count on the device decides between this row and the next.
    if (kernel.kernel_class.form.counted) return nullptr;
  }
  return nullptr;
}

void fill_constants(const PreparedConstants& constants, std::size_t operands, LaunchArguments& arguments) noexcept {
  StageParams& params = arguments.params;
  for (std::size_t i = 0; i < operands; ++i) params.lines[i].eps = constants.eps[i];
  if (!constants.has_numbers) return;
  for (std::size_t i = 0; i < operands; ++i) copy_constants(constants.numbers[i], params.numbers[i]);
}

/// Writes down which blocks work on which operand. How many there are; more than kMaxBlocks where a grid cannot hold
/// them.
std::uint64_t deal_out_blocks(const Work& work, std::size_t operands, LaunchArguments& arguments) noexcept {
  std::uint64_t blocks = 0;
  for (std::size_t i = 0; i < operands; ++i) {
    if (i == 1) arguments.params.q_blocks = static_cast<std::uint32_t>(blocks);
    if (i > 1) arguments.params.more[i - 2].first_block = static_cast<std::uint32_t>(blocks);
    if (i == 2) arguments.params.third_block = static_cast<std::uint32_t>(blocks);
    if (!arguments.has_work[i]) continue;
    const std::uint32_t own = blocks_for(arguments.tokens, work.operands[i].block);
    if (own == 0) return std::uint64_t{kMaxBlocks} + 1;
    blocks += own;
  }
  if (operands == 1) arguments.params.q_blocks = static_cast<std::uint32_t>(blocks);
  return blocks;
}

}  // namespace

PreparedVariant prepared_variant(const KernelClass& kernel_class, const Variant& variant, std::int64_t min_tokens,
                                 std::shared_ptr<const LoadedKernel> kernel) {
  return {min_tokens, variant, work_of(kernel_class, variant), std::move(kernel)};
}

PreparedKernel kernel_of_one(const RotationPlan& plan, const Variant& variant,
                             std::shared_ptr<const LoadedKernel> kernel) {
  PreparedKernel one;
  one.kernel_class = plan.kernel_class;
  one.constants = PreparedConstants(plan);
  one.table.push_back(prepared_variant(plan.kernel_class, variant, 0, std::move(kernel)));
  one.universal = one.table.front();
  return one;
}

bool was_launched(const PreparedKernel& kernel) noexcept {
  const auto launched = [](const PreparedVariant& entry) { return entry.kernel->was_launched(); };
  return launched(kernel.universal) || std::any_of(kernel.table.begin(), kernel.table.end(), launched);
}

std::size_t row_for(const PreparedKernel& kernel, std::int64_t tokens) noexcept {
  std::size_t row = 0;
  while (row + 1 < kernel.table.size() && kernel.table[row + 1].min_tokens <= tokens) ++row;
  return row;
}

LaunchStatus launch_prepared(const PreparedKernel& kernel, std::span<const ResolvedSteps> lengths, const RopeArgs& args,
                             void* stream) noexcept {
  LaunchArguments arguments;
  if (const LaunchStatus status = check_arguments(kernel.kernel_class, args, arguments); !status) return status;
  if (arguments.tokens == 0) return {};
  const PreparedVariant& fast = kernel.table[row_for(kernel, arguments.tokens)];
  const PreparedVariant& chosen = arguments.allow(fast.work.widths) ? fast : kernel.universal;
  std::uint64_t context = 0;
  if (chosen.variant.buffered_steps) {
    const ResolvedSteps* const resolved = kernel.needs_length ? steps_for(kernel, lengths, args) : &kernel.own_steps;
    if (resolved == nullptr) {
      return {ErrorCode::not_prepared, 0,
              "the scaling depends on the length of the sequences, which this launch does not tell or which is beyond "
              "max_position_embeddings, allowed: a kernel from RopeKernel::at_length, or a spec with max_length"};
    }
    arguments.params.steps = static_cast<const unsigned long long*>(resolved->steps.data.get());
    arguments.params.scale = resolved->scale;
    context = resolved->steps.context;
  }
  const std::size_t operands = kernel.kernel_class.operands.size();
  if (arguments.is_prologue) fill_constants(kernel.constants, operands, arguments);
  const std::uint64_t blocks = deal_out_blocks(chosen.work, operands, arguments);
  if (blocks > kMaxBlocks) {
    return {ErrorCode::invalid_argument, 0, "tokens: found more than one launch can hold, allowed: fewer at a time"};
  }
  if (blocks == 0) return {};  // all operands are idle, or left out
  const int result = chosen.kernel->launch(
      {static_cast<std::uint32_t>(blocks), chosen.work.threads, kernel.kernel_class.form.overlaps_previous, context},
      arguments.params, stream);
  if (result == kWrongContext) {
    return {ErrorCode::not_prepared, 0,
            "the numbers of this kernel are in the memory of another context, allowed: a kernel that get or at_length "
            "returned with this one current"};
  }
  if (result == kOtherProcess) {
    return {
        ErrorCode::device_unavailable, 0,
        "this process was forked from one that had opened the GPU, which CUDA does not allow, allowed: a service and "
        "a kernel of the child's own"};
  }
  if (result != 0) return {ErrorCode::launch_failed, result, "the driver refused the launch"};
  return {};
}

}  // namespace ropejit::internal
