// Sets of addresses that a strided tensor covers, and whether two of them can meet. Pure; used by launch, so nothing
// here allocates or throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ropejit::internal {

/// A box: the elements base + sum over d of i_d * stride[d], 0 <= i_d < count[d]. The fifth dimension is of tensors
/// whose heads, or lanes, lie in groups. Strides and base in one unit (elements of one size, or bytes). Counts are at
/// least 1; |count * stride| is below 2^61 for every dimension.
struct StridedBox {
  std::int64_t base = 0;
  std::array<std::int64_t, 5> count = {1, 1, 1, 1, 1};
  std::array<std::int64_t, 5> stride = {0, 0, 0, 0, 0};
  std::int64_t width = 1;  ///< of one element, in the unit of base and stride
};

/// The bytes of lanes `first` to before `first + count[3]` of a tensor: count and stride are of sequences (or pages),
/// tokens, heads and lanes, strides in elements of `element` bytes.
inline StridedBox byte_box(const void* data, const std::array<std::int64_t, 4>& count,
                           const std::array<std::int64_t, 4>& stride, std::int64_t first,
                           std::int64_t element) noexcept {
  StridedBox box;
  box.base = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(data)) + first * stride[3] * element;
  for (std::size_t d = 0; d < stride.size(); ++d) {
    box.count[d] = count[d];
    box.stride[d] = stride[d] * element;
  }
  box.width = element;
  return box;
}

/// The same where the heads lie in groups of `heads`: those of a group are head_stride apart, the groups group_stride.
inline StridedBox grouped(StridedBox box, std::int64_t heads, std::int64_t head_stride,
                          std::int64_t group_stride) noexcept {
  box.count[2] /= heads;
  box.stride[2] = group_stride * box.width;
  box.count[4] = heads;
  box.stride[4] = head_stride * box.width;
  return box;
}

/// The same where the lanes lie in groups of `lanes` that are split_stride apart, side by side within each.
inline StridedBox split(StridedBox box, std::int64_t lanes, std::int64_t split_stride) noexcept {
  box.count[3] /= lanes;
  box.stride[3] = split_stride * box.width;
  box.count[4] = lanes;
  box.stride[4] = box.width;
  return box;
}

/// True when no two index tuples can share an address. Conservative: strides that do not nest (none larger than all
/// that lies within it) count as overlapping, as in torch.
bool is_injective(const StridedBox& box) noexcept;

/// True when it can be shown that the two share no address: either their ranges are apart, or for one of their strides
/// S both stay in separate windows modulo S (packed QKV in any order of dimensions). False: they may meet.
bool are_disjoint(const StridedBox& a, const StridedBox& b) noexcept;

}  // namespace ropejit::internal
