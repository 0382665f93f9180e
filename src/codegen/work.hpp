// How a launch is cut into blocks: the host's side of templates/row_split.cuh.
#pragma once

#include <cstdint>

#include "codegen/variant.hpp"
#include "launch_params.cuh"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// Threads that one token needs. Both may be launched with k left out; its threads then do nothing.
std::uint64_t items_per_token(const KernelClass& kernel_class, const Variant& variant);

/// Width of the variant's accesses to a caller's table, in bytes; 0 where the class reads none. The universal entry's
/// are single elements.
std::uint32_t table_access_bytes(const KernelClass& kernel_class, const Variant& variant);

struct Grid {
  std::uint32_t x = 0;
  std::uint32_t y = 0;  ///< slabs of tokens_per_slab tokens
  std::uint32_t tokens_per_slab = 0;
};

/// x is 0 where the launch is too large for a grid (more than 65,535 slabs). tokens in [1, 2^31).
Grid grid_for(std::uint32_t tokens, std::uint64_t items_per_token, std::uint32_t threads) noexcept;

/// divisor in [1, 2^31).
FastDivisor fast_divisor(std::uint32_t divisor) noexcept;

}  // namespace ropejit::internal
