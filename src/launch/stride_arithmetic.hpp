// Arithmetic of strides that the checks of a launch share.
#pragma once

#include <bit>
#include <cstdint>

#include "ropejit/tensor.hpp"

namespace ropejit::internal {

// Elements between the first and the last of a dimension: beyond any address space, and small enough that sums of
// five, in bytes, do not overflow.
inline constexpr std::int64_t kMaxReach = 1LL << 56;

inline std::int64_t stride_or(std::int64_t stride, std::int64_t contiguous) noexcept {
  return stride == kContiguous ? contiguous : stride;
}

inline bool reaches_too_far(std::int64_t count, std::int64_t stride) noexcept {
  std::int64_t reach = 0;
  return __builtin_mul_overflow(count, stride, &reach) || reach > kMaxReach || reach < -kMaxReach;
}

/// What standing one sequence later adds beyond the token stride.
inline std::int64_t sequence_stride(std::int64_t batch_stride, std::int64_t token_stride,
                                    std::int64_t tokens) noexcept {
  return batch_stride - tokens * token_stride;
}

/// The widest access of any variant, in bytes: what need not be aligned at all counts as aligned to it.
inline constexpr std::uint32_t kWidestAccess = 32;

/// The widest access, in bytes, that may start wherever these bits are those of an address or a stride.
inline std::uint32_t width_of(std::uint64_t bits) noexcept { return 1U << std::countr_zero(bits | kWidestAccess); }

}  // namespace ropejit::internal
