#include "verify/element.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool is_nan(DType dtype, ElementBits bits) {
  const ElementBits exponent = dtype == DType::fp16 ? 0x7c00 : 0x7f80;
  return (bits & 0x7fff) > exponent;
}

}  // namespace

TEST_CASE("every 16-bit pattern survives a double") {
  const DType dtype = GENERATE(DType::bf16, DType::fp16);
  int changed = 0;
  int nans = 0;
  for (ElementBits bits = 0; bits < 65536; ++bits) {
    const double value = decode(dtype, bits);
    if (std::isnan(value)) ++nans;
    if (std::isnan(value) != is_nan(dtype, bits) || encode(dtype, value) != bits) ++changed;
  }
  CHECK(changed == 0);
  CHECK(nans == (dtype == DType::fp16 ? 2 * 1023 : 2 * 127));
}

TEST_CASE("a value between two neighbours goes to the nearer one, in the middle to the even one") {
  const DType dtype = GENERATE(DType::bf16, DType::fp16);
  const ElementBits infinity = dtype == DType::fp16 ? 0x7c00 : 0x7f80;
  int wrong = 0;
  for (ElementBits low = 0; low + 1 < infinity; ++low) {
    const double a = decode(dtype, low);
    const double b = decode(dtype, low + 1);
    const double middle = a + (b - a) / 2;
    const ElementBits even = low % 2 == 0 ? low : low + 1;
    const ElementBits sign = 0x8000;
    if (encode(dtype, middle) != even || encode(dtype, -middle) != (even | sign)) ++wrong;
    if (encode(dtype, std::nextafter(middle, a)) != low) ++wrong;
    if (encode(dtype, std::nextafter(middle, b)) != low + 1) ++wrong;
    if (low > 0 && half_ulp(dtype, a) != (b - a) / 2) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("fp32 conversion is the machine's") {
  std::uint64_t state = 1;
  int wrong = 0;
  for (int i = 0; i < 2'000'000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    // Exponents from below the least subnormal float to above the largest float.
    const std::uint64_t exponent = 1023 - 155 + (state >> 33) % 290;
    const std::uint64_t word = (state << 63) | (exponent << 52) | (state >> 12 & 0xfffffffffffff);
    const auto value = std::bit_cast<double>(word);
    const auto expected = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    if (encode(DType::fp32, value) != expected) ++wrong;
    if (std::isfinite(static_cast<float>(value)) && decode(DType::fp32, expected) != static_cast<float>(value)) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("edges of the formats have their known bits") {
  struct Row {
    DType dtype;
    double value;
    ElementBits bits;
  };
  const Row row = GENERATE(values<Row>({
      {DType::bf16, 1.0, 0x3f80},
      {DType::bf16, -0.0, 0x8000},
      {DType::bf16, 1.00390625, 0x3f80},  // 1 + half a step: even is below
      {DType::bf16, 1.01171875, 0x3f82},  // 1 + one and a half: even is above
      {DType::bf16, 0x1.ffp127, 0x7f80},  // the threshold itself rounds to infinity
      {DType::bf16, 0x1.fefffffffp127, 0x7f7f},
      {DType::bf16, 0x1p-134, 0x0000},
      {DType::bf16, 0x1.8p-134, 0x0001},
      {DType::bf16, kInfinity, 0x7f80},
      {DType::fp16, 1.0, 0x3c00},
      {DType::fp16, 1.0 / 3.0, 0x3555},
      {DType::fp16, 65504.0, 0x7bff},
      {DType::fp16, 65519.999, 0x7bff},
      {DType::fp16, 65520.0, 0x7c00},
      {DType::fp16, -1e300, 0xfc00},
      {DType::fp16, 0x1p-25, 0x0000},
      {DType::fp16, 0x1.000001p-25, 0x0001},
      {DType::fp16, 0x3p-25, 0x0002},
      {DType::fp16, 0x1.ffcp-15, 0x0400},  // carries out of the subnormals
      {DType::fp16, 5e-324, 0x0000},
      {DType::fp32, 1.0, 0x3f800000},
      {DType::fp32, 0x1p-149, 0x00000001},
      {DType::fp32, 0x1p-150, 0x00000000},
      {DType::fp32, 0x1.ffffffp127, 0x7f800000},
  }));
  INFO(to_string(row.dtype) << " " << row.value);
  CHECK(encode(row.dtype, row.value) == row.bits);
}

TEST_CASE("elements are read and written where they lie, aligned or not") {
  unsigned char memory[16] = {};
  for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
    const ElementBits bits = dtype == DType::fp32 ? 0xdeadbeef : 0xbeef;
    store_bits(dtype, memory + 1, 2, bits);
    CHECK(load_bits(dtype, memory + 1, 2) == bits);
    CHECK(memory[1 + 2 * element_bytes(dtype)] == 0xef);
  }
}

TEST_CASE("overflow begins half a step above the largest finite value") {
  CHECK(overflow_threshold(DType::fp16) == 65520.0);
  CHECK(overflow_threshold(DType::bf16) == 0x1.ffp127);
  CHECK(overflow_threshold(DType::fp32) == 0x1.ffffffp127);
}
