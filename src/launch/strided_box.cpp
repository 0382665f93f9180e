#include "launch/strided_box.hpp"

#include <algorithm>
#include <cstdlib>
#include <tuple>

namespace ropejit::internal {
namespace {

constexpr std::size_t kDimensions = std::tuple_size_v<decltype(StridedBox::count)>;

struct Range {
  std::int64_t low;
  std::int64_t high;  // one past the last
};

Range range_of(const StridedBox& box) noexcept {
  Range range{box.base, box.base + box.width};
  for (std::size_t d = 0; d < kDimensions; ++d) {
    const std::int64_t reach = (box.count[d] - 1) * box.stride[d];
    (reach < 0 ? range.low : range.high) += reach;
  }
  return range;
}

/// Lowest address and length of the window that holds all of `box` modulo `modulus`; dimensions whose stride is a
/// multiple of the modulus stay in place.
Range window_of(const StridedBox& box, std::int64_t modulus) noexcept {
  Range window{box.base, box.base + box.width};
  for (std::size_t d = 0; d < kDimensions; ++d) {
    if (box.count[d] == 1 || box.stride[d] % modulus == 0) continue;
    const std::int64_t reach = (box.count[d] - 1) * box.stride[d];
    (reach < 0 ? window.low : window.high) += reach;
  }
  return window;
}

bool apart_modulo(const StridedBox& a, const StridedBox& b, std::int64_t modulus) noexcept {
  const Range wa = window_of(a, modulus);
  const Range wb = window_of(b, modulus);
  std::int64_t distance = (wb.low - wa.low) % modulus;
  if (distance < 0) distance += modulus;
  return distance >= wa.high - wa.low && modulus - distance >= wb.high - wb.low;
}

}  // namespace

bool is_injective(const StridedBox& box) noexcept {
  std::array<std::size_t, kDimensions> order = {0, 1, 2, 3, 4};
  std::sort(order.begin(), order.end(),
            [&box](std::size_t x, std::size_t y) { return std::abs(box.stride[x]) < std::abs(box.stride[y]); });
  std::int64_t extent = box.width;
  for (const std::size_t d : order) {
    if (box.count[d] == 1) continue;
    if (std::abs(box.stride[d]) < extent) return false;
    extent += (box.count[d] - 1) * std::abs(box.stride[d]);
  }
  return true;
}

bool are_disjoint(const StridedBox& a, const StridedBox& b) noexcept {
  const Range ra = range_of(a);
  const Range rb = range_of(b);
  if (ra.high <= rb.low || rb.high <= ra.low) return true;
  for (std::size_t d = 0; d < kDimensions; ++d) {
    for (const StridedBox* box : {&a, &b}) {
      const std::int64_t modulus = std::abs(box->stride[d]);
      if (box->count[d] > 1 && modulus > 1 && apart_modulo(a, b, modulus)) return true;
    }
  }
  return false;
}

}  // namespace ropejit::internal
