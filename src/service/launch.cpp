#include <utility>

#include "codegen/work.hpp"
#include "service/launch_arguments.hpp"
#include "service/prepared_kernel.hpp"

namespace ropejit::internal {

PreparedVariant prepared_variant(const KernelClass& kernel_class, const Variant& variant, std::int64_t min_tokens,
                                 std::shared_ptr<const LoadedKernel> kernel) {
  return {min_tokens, variant, items_per_token(kernel_class, variant), table_access_bytes(kernel_class, variant),
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
  const PreparedVariant& chosen =
      arguments.vector_bytes >= fast.variant.access_bytes && arguments.table_vector_bytes >= fast.table_bytes
          ? fast
          : kernel.universal;
  const Grid grid = grid_for(arguments.tokens, chosen.items_per_token, chosen.variant.threads);
  if (grid.x == 0) {
    return {ErrorCode::invalid_argument, 0, "tokens: found more than one launch can hold, allowed: fewer at a time"};
  }
  arguments.params.tokens_per_slab = grid.tokens_per_slab;
  const int result = chosen.kernel->launch({grid.x, grid.y, chosen.variant.threads}, arguments.params, stream);
  if (result != 0) return {ErrorCode::launch_failed, result, "the driver refused the launch"};
  return {};
}

}  // namespace ropejit::internal
