// Elements of q and k as doubles and back, written from the formats' definitions: every bf16, fp16 and fp32 value
// is a double exactly; a double becomes the nearest element, ties to the even one. Shares nothing with the
// library or its device code, so that it can judge both. Pure, thread-safe, never throws.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// The bits of an element, in the low 16 or 32 bits.
using ElementBits = std::uint32_t;

/// Bytes of one element: 2, 2, 4.
std::size_t element_bytes(DType dtype) noexcept;

/// The bits of element `index` of an array of elements.
ElementBits load_bits(DType dtype, const void* array, std::int64_t index) noexcept;
void store_bits(DType dtype, void* array, std::int64_t index, ElementBits bits) noexcept;

/// The value of an element, exact: subnormals, infinities and the payloads of NaNs included.
double decode(DType dtype, ElementBits bits) noexcept;

/// The element nearest to a value, ties to even; beyond the largest finite value by half a step or more, infinity.
ElementBits encode(DType dtype, double value) noexcept;

/// Half of the distance between neighbours of the format around `value`: the most that one rounding may cost.
/// `value` must be finite; beyond the format's range it is that of an unbounded exponent.
double half_ulp(DType dtype, double value) noexcept;

/// Where rounding to infinity begins: the largest finite value plus half a step.
double overflow_threshold(DType dtype) noexcept;

}  // namespace ropejit::internal
