#include "verify/element.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace ropejit::internal {
namespace {

// A binary format: `fraction` explicit significand bits, exponents from `least` (of the smallest normal) to `most`.
struct Format {
  int bytes;
  int fraction;
  int least;
  int most;

  constexpr ElementBits sign_bit() const { return ElementBits{1} << (8 * bytes - 1); }
  constexpr ElementBits infinity() const { return static_cast<ElementBits>(most - least + 2) << fraction; }
};

constexpr Format kBf16{2, 7, -126, 127};
constexpr Format kFp16{2, 10, -14, 15};
constexpr Format kFp32{4, 23, -126, 127};

constexpr const Format& format_of(DType dtype) {
  return dtype == DType::bf16 ? kBf16 : dtype == DType::fp16 ? kFp16 : kFp32;
}

constexpr int kDoubleFraction = 52;
constexpr int kDoubleBias = 1023;
constexpr std::uint64_t kDoubleInfinity = std::uint64_t{0x7ff} << kDoubleFraction;
constexpr std::uint64_t kDoubleFractionMask = (std::uint64_t{1} << kDoubleFraction) - 1;

// 2^exponent, for exponents of normal doubles.
double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + kDoubleBias) << kDoubleFraction);
}

}  // namespace

std::size_t element_bytes(DType dtype) noexcept { return static_cast<std::size_t>(format_of(dtype).bytes); }

ElementBits load_bits(DType dtype, const void* array, std::int64_t index) noexcept {
  const auto* bytes = static_cast<const unsigned char*>(array);
  if (dtype == DType::fp32) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes + index * 4, 4);
    return word;
  }
  std::uint16_t half = 0;
  std::memcpy(&half, bytes + index * 2, 2);
  return half;
}

void store_bits(DType dtype, void* array, std::int64_t index, ElementBits bits) noexcept {
  auto* bytes = static_cast<unsigned char*>(array);
  if (dtype == DType::fp32) {
    std::memcpy(bytes + index * 4, &bits, 4);
    return;
  }
  const auto half = static_cast<std::uint16_t>(bits);
  std::memcpy(bytes + index * 2, &half, 2);
}

double decode(DType dtype, ElementBits bits) noexcept {
  const Format& format = format_of(dtype);
  const ElementBits magnitude = bits & (format.sign_bit() - 1);
  const std::uint64_t sign = (bits & format.sign_bit()) != 0 ? std::uint64_t{1} << 63 : 0;
  const std::uint64_t fraction = magnitude & ((ElementBits{1} << format.fraction) - 1);
  const int field = static_cast<int>(magnitude >> format.fraction);
  const int widen = kDoubleFraction - format.fraction;

  if (magnitude >= format.infinity()) return std::bit_cast<double>(sign | kDoubleInfinity | (fraction << widen));
  if (field == 0) {
    const double value = static_cast<double>(fraction) * power_of_two(format.least - format.fraction);
    return sign != 0 ? -value : value;
  }
  const std::uint64_t exponent =
      static_cast<std::uint64_t>(field) + static_cast<std::uint64_t>(format.least - 1 + kDoubleBias);
  return std::bit_cast<double>(sign | (exponent << kDoubleFraction) | (fraction << widen));
}

ElementBits encode(DType dtype, double value) noexcept {
  const Format& format = format_of(dtype);
  const auto word = std::bit_cast<std::uint64_t>(value);
  const ElementBits sign = (word >> 63) != 0 ? format.sign_bit() : 0;
  const std::uint64_t magnitude = word & ~(std::uint64_t{1} << 63);
  const int narrow = kDoubleFraction - format.fraction;

  if (magnitude > kDoubleInfinity) {
    const auto payload = static_cast<ElementBits>((magnitude & kDoubleFractionMask) >> narrow);
    // A payload that does not fit must not turn a NaN into an infinity.
    return sign | format.infinity() | (payload != 0 ? payload : ElementBits{1} << (format.fraction - 1));
  }
  const int field = static_cast<int>(magnitude >> kDoubleFraction);
  const int exponent = field - kDoubleBias;
  // Subnormal doubles are far below half of the least element of any format here.
  if (field == 0 || exponent < format.least - format.fraction - 1) return sign;
  if (exponent > format.most) return sign | format.infinity();

  // Significand in units of the last place; below the normal range the unit stays that of the least normal.
  const int drop = narrow + std::max(0, format.least - exponent);
  const std::uint64_t significand = (magnitude & kDoubleFractionMask) | (std::uint64_t{1} << kDoubleFraction);
  const std::uint64_t half = std::uint64_t{1} << (drop - 1);
  const std::uint64_t rest = significand & ((half << 1) - 1);
  std::uint64_t units = significand >> drop;
  if (rest > half || (rest == half && (units & 1) != 0)) ++units;

  // The implicit bit adds one to the exponent field, and so does a carry: both are meant.
  const auto base = static_cast<ElementBits>(std::max(0, exponent - format.least)) << format.fraction;
  return sign | (base + static_cast<ElementBits>(units));
}

double half_ulp(DType dtype, double value) noexcept {
  const Format& format = format_of(dtype);
  const auto word = std::bit_cast<std::uint64_t>(value) & ~(std::uint64_t{1} << 63);
  const int exponent = static_cast<int>(word >> kDoubleFraction) - kDoubleBias;
  return power_of_two(std::max(exponent, format.least) - format.fraction - 1);
}

double overflow_threshold(DType dtype) noexcept {
  const Format& format = format_of(dtype);
  return power_of_two(format.most) * (2.0 - power_of_two(-format.fraction - 1));
}

}  // namespace ropejit::internal
