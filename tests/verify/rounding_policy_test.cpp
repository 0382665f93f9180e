#include "verify/rounding_policy.hpp"

#include <cmath>
#include <initializer_list>
#include <vector>

#include "support/caller_table.hpp"
#include "support/catch.hpp"
#include "verify/oracle.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

/// x cos - y sin as PyTorch computes it on a CPU: in the type itself with cos and sin cast to it (p1), in fp32 with the
/// same (p2), and in fp32 throughout (p3). Rows where the three differ.
struct TorchRow {
  DType dtype;
  double x;
  double y;
  double cos;
  double sin;
  ElementBits p1;
  ElementBits p2;
  ElementBits p3;
};

const TorchRow kTorch[] = {
    {DType::bf16, 0x1.0ap-1, -0x1.14p+0, -0x1.a10ddep-1, 0x1.264844p-1, 0x3e46, 0x3e48, 0x3e49},
    {DType::bf16, -0x1.b4p+0, -0x1.78p-2, 0x1.22a478p-3, 0x1.8ce77ap-1, 0x3d2c, 0x3d2f, 0x3d30},
    {DType::bf16, -0x1.7p+0, -0x1.42p+0, -0x1.57fc3cp-1, -0x1.fc94d6p-1, 0xbe92, 0xbe90, 0xbe91},
    {DType::fp16, -0x1.984p-1, -0x1.934p-1, -0x1.972334p-2, -0x1.31346cp-2, 0x2d46, 0x2d45, 0x2d44},
    {DType::fp16, 0x1.0b4p+1, 0x1.22p+0, 0x1.ca0b76p-2, 0x1.0d9662p-1, 0x3568, 0x3567, 0x3566},
    {DType::fp16, -0x1.0a8p-1, 0x1.a04p-1, -0x1.ffa10ap-1, 0x1.db9b4ep-1, 0xb384, 0xb383, 0xb386},
};

LaneTerms terms_of(const TorchRow& row) { return {row.x, row.cos, row.y, -row.sin}; }

}  // namespace

TEST_CASE("The bits of the rounding policies are those of PyTorch") {
  for (const TorchRow& row : kTorch) {
    INFO(to_string(row.dtype) << " " << row.x);
    CHECK(lane_bits({Rounding::p1, row.dtype, row.dtype}, terms_of(row)) == row.p1);
    CHECK(lane_bits({Rounding::p2, row.dtype, row.dtype}, terms_of(row)) == row.p2);
    CHECK(lane_bits({Rounding::p3, row.dtype, row.dtype}, terms_of(row)) == row.p3);
  }
}

TEST_CASE("A wider output keeps what a policy does not round, and shows what it does") {
  for (const TorchRow& row : kTorch) {
    const LaneTerms terms = terms_of(row);
    const auto wide = [&](Rounding rounding) {
      return decode(DType::fp32, lane_bits({rounding, row.dtype, DType::fp32}, terms));
    };
    CHECK(wide(Rounding::p1) == decode(row.dtype, row.p1));
    const double cos = decode(row.dtype, encode(row.dtype, row.cos));
    const double sin = decode(row.dtype, encode(row.dtype, row.sin));
    CHECK(wide(Rounding::p2) == static_cast<float>(row.x * cos) - static_cast<float>(row.y * sin));
    CHECK(wide(Rounding::p3) == static_cast<float>(row.x * row.cos) - static_cast<float>(row.y * row.sin));
  }
}

TEST_CASE("Each policy's bound holds its own bits, and is no wider than half ulps of what it rounds") {
  for (const TorchRow& row : kTorch) {
    const LaneTerms terms = terms_of(row);
    const double exact = row.x * row.cos - row.y * row.sin;
    const double u = row.dtype == DType::bf16 ? 0x1p-9 : 0x1p-12;
    const double sum = std::fabs(row.x) + std::fabs(row.y);
    double last = 0;
    for (const Rounding rounding : {Rounding::exact, Rounding::p3, Rounding::p2, Rounding::p1}) {
      const LaneBound bound = lane_bound({rounding, row.dtype, row.dtype}, terms, 1.0);
      const ElementBits bits = rounding == Rounding::p1 ? row.p1 : rounding == Rounding::p2 ? row.p2 : row.p3;
      INFO(to_string(row.dtype) << " " << to_string(rounding) << " " << row.x);
      CHECK(bound.value == exact);
      CHECK(std::fabs(decode(row.dtype, bits) - exact) <= bound.bound);
      CHECK(bound.bound >= last);
      last = bound.bound;
      // cos, sin, products and sum: 1/2 ulp is at most 2u of a number; numbers here are at most 1 and |x| + |y|.
      const double roundings = rounding == Rounding::p1 ? 2 : rounding == Rounding::p2 ? 1 : 0;
      CHECK(bound.bound <= half_ulp(row.dtype, 2 * exact) + (2 * u * roundings + 0x1p-19) * sum);
    }
    // p1's bits are outside p3's bound in the rows of bf16: the policies are told apart.
    if (row.dtype == DType::bf16) {
      const LaneBound bound = lane_bound({Rounding::p3, row.dtype, row.dtype}, terms, 1.0);
      CHECK(std::fabs(decode(row.dtype, row.p1) - exact) > bound.bound);
    }
  }
}

TEST_CASE("For fp32 tensors p1, p2 and p3 are one, and exact is another") {
  int differ = 0;
  for (int i = 1; i < 50; ++i) {
    const LaneTerms terms{decode(DType::fp32, encode(DType::fp32, std::sin(i))),
                          decode(DType::fp32, encode(DType::fp32, std::cos(2.0 * i))),
                          decode(DType::fp32, encode(DType::fp32, std::sin(5.0 * i))),
                          decode(DType::fp32, encode(DType::fp32, std::sin(3.0 * i)))};
    const ElementBits p3 = lane_bits({Rounding::p3, DType::fp32, DType::fp32}, terms);
    for (const Rounding rounding : {Rounding::p1, Rounding::p2}) {
      CHECK(lane_bits({rounding, DType::fp32, DType::fp32}, terms) == p3);
      CHECK(lane_bound({rounding, DType::fp32, DType::fp32}, terms, 1.0).bound ==
            lane_bound({Rounding::p3, DType::fp32, DType::fp32}, terms, 1.0).bound);
    }
    const float fused = std::fma(static_cast<float>(terms.x), static_cast<float>(terms.cos),
                                 static_cast<float>(terms.y) * static_cast<float>(terms.sin));
    differ += decode(DType::fp32, p3) != static_cast<double>(fused) ? 1 : 0;
  }
  CHECK(differ > 5);
}

TEST_CASE("Where fp16 is too fine for a product, the bound has its absolute rounding") {
  // 2^-14 * 2^-14: half of the least subnormal, 2^-25, may be lost in each product and in cos and sin themselves.
  const LaneTerms terms{0x1p-14, 0x1p-14, 0x1p-14, 0x1p-14};
  const LaneBound bound = lane_bound({Rounding::p1, DType::fp16, DType::fp16}, terms, 1.0);
  const ElementBits bits = lane_bits({Rounding::p1, DType::fp16, DType::fp16}, terms);
  CHECK(bits == 0);
  CHECK(bound.value == 0x1p-27);
  CHECK(std::fabs(decode(DType::fp16, bits) - bound.value) <= bound.bound);
  CHECK(bound.bound < 4 * 0x1p-25);
}

TEST_CASE("A table's inverse undoes it and its shift keeps lengths, whatever its scale") {
  const Turn table{0.6 * 3, 0.8 * 3};
  const Turn inverse = directed(Direction::inverse, table);
  CHECK(std::fabs(inverse.cos * table.cos - inverse.sin * table.sin - 1) < 1e-15);
  CHECK(std::fabs(inverse.cos * table.sin + inverse.sin * table.cos) < 1e-15);
  CHECK(directed(Direction::forward, table).sin == table.sin);
  CHECK(directed(Direction::adjoint, table).sin == -table.sin);
  CHECK(directed(Direction::adjoint, table).cos == table.cos);
  CHECK(std::fabs(directed(Direction::shift, table).sin - 0.8) < 1e-15);
  CHECK(std::fabs(directed(Direction::shift, table, true).sin + 0.8) < 1e-15);
  CHECK(std::fabs(directed(Direction::shift, table, true).cos - 0.6) < 1e-15);
}

TEST_CASE("Angles are rounded where a spec says so, and nowhere else") {
  // numpy's float32 for the roundings, mpmath for the rest.
  struct Row {
    double theta;
    std::int64_t rotary_dim;
    std::int64_t pair;
    std::int64_t position;
    double w;
    double t;             // the fp32 product
    long double reduced;  // w times the position itself, within half a turn
    double cos;           // of t
  };
  const Row rows[] = {
      {500000, 128, 7, 1000003, 0x1.e788c2p-3, 0x1.d0f344p+17, -2.7971802811391201793L, -0.94008246435911701248},
      {10000, 64, 31, 16777217, 0x1.17a8e4p-13, 0x1.17a8e4p+11, 0.46399602746765629331L, 0.89433098973482242295},
      {10000, 64, 5, -33554435, 0x1.e5a848p-3, -0x1.e5a84cp+22, 2.5952294821688587938L, -0.67121397600347475526},
      {1e6, 128, 1, 2147483647, 0x1.9c9758p-1, 0x1.9c9758p+30, 2.2639629049089111222L, -0.99742437753882860312},
  };
  for (const Row& row : rows) {
    RopeSpec spec;
    spec.theta = row.theta;
    spec.rotary_dim = row.rotary_dim;
    spec.q = {1, row.rotary_dim, 0};
    INFO("theta " << row.theta << " position " << row.position);
    const Oracle exact(spec);
    spec.angle = AngleRounding::fp32_inv_freq;
    const Oracle rounded(spec);
    CHECK(static_cast<double>(rounded.frequency(row.pair)) == row.w);
    CHECK(exact.frequency(row.pair) != rounded.frequency(row.pair));
    CHECK(static_cast<double>(std::fabs(rounded.angle(row.pair, row.position) - row.reduced)) < 1e-15);
    spec.angle = AngleRounding::fp32;
    const Oracle product(spec);
    CHECK(static_cast<double>(product.angle(row.pair, row.position)) == row.t);
    CHECK(std::fabs(product.angles(row.position).cos[static_cast<std::size_t>(row.pair)] - row.cos) < 1e-15);
  }
}

TEST_CASE("A number half-way between two floats goes where its lower part says") {
  const long double tie = 1.0L + 0x1p-24L;
  CHECK(to_float({tie, 0}) == 1.0F);
  CHECK(to_float({tie, 0x1p-80L}) == 1.0F + 0x1p-23F);
  CHECK(to_float({tie, -0x1p-80L}) == 1.0F);
  const long double upper = 1.0L + 3 * 0x1p-24L;
  CHECK(to_float({upper, 0}) == 1.0F + 0x1p-22F);
  CHECK(to_float({upper, -0x1p-80L}) == 1.0F + 0x1p-23F);
  CHECK(to_float({-tie, -0x1p-80L}) == -1.0F - 0x1p-23F);
  CHECK(to_float(wide(0.0)) == 0.0F);
}

TEST_CASE("What goes in with an error may come out wherever that leads, and not much farther") {
  for (const TorchRow& row : kTorch) {
    LaneTerms terms = terms_of(row);
    terms.x_error = 0x1p-8 * std::fabs(row.x);
    terms.y_error = 0x1p-9 * std::fabs(row.y);
    for (const Rounding rounding : {Rounding::p1, Rounding::p2, Rounding::p3}) {
      const RoundingRule rule{rounding, row.dtype, row.dtype};
      const LaneBound bound = lane_bound(rule, terms, 1.0);
      INFO(to_string(row.dtype) << " " << to_string(rounding) << " x " << row.x << " y " << row.y);
      double farthest = 0;
      for (const double x : {row.x - terms.x_error, row.x + terms.x_error}) {
        for (const double y : {row.y - terms.y_error, row.y + terms.y_error}) {
          const double got = decode(row.dtype, lane_bits(rule, {x, row.cos, y, -row.sin}));
          farthest = std::fmax(farthest, std::fabs(got - bound.value));
        }
      }
      CHECK(farthest <= bound.bound);
      const double turned = terms.x_error * std::fabs(row.cos) + terms.y_error * std::fabs(row.sin);
      const double certain = lane_bound(rule, terms_of(row), 1.0).bound;
      CHECK(bound.bound >= certain + turned);
      // Half ulps of what may be greater by the errors are twice what they were, at most.
      CHECK(bound.bound <= 2 * certain + 1.01 * turned);
    }
  }
}

TEST_CASE("An output of its own type is read as such, lanes that do not rotate too") {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 2;
  spec.q = {1, 4, 2, DType::bf16};
  const Oracle oracle(spec);
  const float before[] = {1.0F + 0x1p-8F, -3.5F, 1.0F, 0.0F};
  std::vector<unsigned char> after(8);
  const auto put = [&](std::int64_t lane, double value) {
    store_bits(DType::bf16, after.data(), lane, encode(DType::bf16, value));
  };
  put(0, 1.0);  // a tie, to the even one
  put(1, -3.5);
  put(2, std::cos(1.0));
  put(3, std::sin(1.0));
  const auto failures = [&] {
    Comparison result;
    oracle.check(oracle.angles(1), spec.q, {before, 1}, {after.data(), 1}, {}, result);
    CHECK(result.count() == 4);
    return result.failures();
  };
  CHECK(failures() == 0);
  for (const std::int64_t lane : {0, 1, 2, 3}) {
    const ElementBits right = load_bits(DType::bf16, after.data(), lane);
    store_bits(DType::bf16, after.data(), lane, right + 1);
    INFO("lane " << lane);
    CHECK(failures() == 1);
    store_bits(DType::bf16, after.data(), lane, right);
  }
}

TEST_CASE("Padding is zero or what it was, where the written layout has it") {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 4;
  spec.layout = Layout::interleaved;
  spec.layout_out = Layout::split_half;
  spec.q = {1, 6, 2};
  const Oracle oracle(spec);
  const float before[] = {9, 8, 1, 2, 3, 4};
  const float kept[] = {9, 8, 1, 3, 2, 4};
  const float zeroed[] = {9, 8, 0, 0, 0, 0};
  const float negative_zero[] = {9, 8, 0, -0.0F, 0, 0};
  const auto failures = [&](Padding padding, const float* after) {
    Comparison result;
    oracle.check_padding(padding, spec.q, {before, 1}, {after, 1}, {}, result);
    CHECK(result.count() == 6);
    return result.failures();
  };
  CHECK(failures(Padding::keep, kept) == 0);
  CHECK(failures(Padding::keep, before) == 2);
  CHECK(failures(Padding::zero, zeroed) == 0);
  CHECK(failures(Padding::zero, negative_zero) == 1);
  CHECK(failures(Padding::zero, kept) == 4);
}

TEST_CASE("Known numbers are judged by their bits where the policy names them") {
  RopeSpec spec;
  spec.dtype = DType::bf16;
  spec.rotary_dim = 2;
  spec.q = {1, 2, 0};
  const TorchRow& row = kTorch[0];
  std::vector<unsigned char> before(4);
  std::vector<unsigned char> after(4);
  store_bits(spec.dtype, before.data(), 0, encode(spec.dtype, row.x));
  store_bits(spec.dtype, before.data(), 1, encode(spec.dtype, row.y));
  for (const Rounding rounding : {Rounding::exact, Rounding::p1}) {
    spec.rounding = rounding;
    const Oracle oracle(spec);
    Angles angles;
    angles.cos = {row.cos};
    angles.sin = {row.sin};
    angles.known = true;
    store_bits(spec.dtype, after.data(), 1,
               rounding == Rounding::exact
                   ? encode(spec.dtype, row.y * row.cos + row.x * row.sin)
                   : lane_bits({rounding, spec.dtype, spec.dtype}, {row.y, row.cos, row.x, row.sin}));
    const auto failures = [&](ElementBits first) {
      Comparison result;
      store_bits(spec.dtype, after.data(), 0, first);
      oracle.check(angles, spec.q, {before.data(), 1}, {after.data(), 1}, {}, result);
      return result.failures();
    };
    INFO(to_string(rounding));
    CHECK(failures(row.p3) == (rounding == Rounding::exact ? 0 : 1));
    CHECK(failures(row.p1) == (rounding == Rounding::exact ? 1 : 0));
  }
}
