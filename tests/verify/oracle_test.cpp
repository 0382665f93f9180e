#include "verify/oracle.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

RopeSpec spec_of(std::int64_t head_dim, std::int64_t rotary_dim, double theta, Layout layout = Layout::split_half,
                 std::int64_t first_lane = 0) {
  RopeSpec spec;
  spec.layout = layout;
  spec.theta = theta;
  spec.rotary_dim = rotary_dim;
  spec.q = {1, head_dim, first_lane};
  return spec;
}

std::vector<double> rotated(const RopeSpec& spec, std::int64_t position, const std::vector<double>& in) {
  const Oracle oracle(spec);
  std::vector<double> out(in.size());
  std::vector<double> bound(in.size());
  oracle.expect(oracle.angles(position), spec.q, in, out, bound);
  return out;
}

// Values from a run of mpmath with 300 bits.
struct AngleRow {
  double theta;
  std::int64_t rotary_dim;
  std::int64_t pair;
  std::int64_t position;
  long double angle;
};

}  // namespace

TEST_CASE("the oracle's angles are those of a computation in 300 bits") {
  const AngleRow row = GENERATE(values<AngleRow>({
      {10000, 2, 0, 1, 1.0L},
      {10000, 128, 1, std::int64_t{1} << 40, 1.678767722664366522919L},
      {10000, 128, 3, -(std::int64_t{1} << 40) + 12345, -2.753961128275228357877L},
      {500000, 128, 7, 2147483647, -2.127177319707652473816L},
      {10000, 2, 0, (std::int64_t{1} << 40) + 1, -1.723842610921788162355L},
      {1000000, 64, 31, std::int64_t{1} << 40, -0.5225144133249876407053L},
      {10000.5, 96, 5, 999999999999, -0.3765199397746972880971L},
      {0.5, 8, 3, 123456789, -1.787209311841239190963L},
  }));
  INFO("theta " << row.theta << " pair " << row.pair << " position " << row.position);
  const Oracle oracle(spec_of(row.rotary_dim, row.rotary_dim, row.theta));
  CHECK(static_cast<double>(std::fabs(oracle.angle(row.pair, row.position) - row.angle)) < 1e-15);
  CHECK(oracle.angle(row.pair, -row.position) == -oracle.angle(row.pair, row.position));
}

TEST_CASE("llama3 scaling keeps fast pairs, divides slow ones and blends between") {
  RopeSpec spec = spec_of(128, 128, 500000);
  spec.scaling = Llama3Scaling{8, 1, 4, 8192};
  const Oracle oracle(spec);
  const Oracle plain(spec_of(128, 128, 500000));
  int kept = 0;
  int divided = 0;
  for (std::int64_t i = 0; i < oracle.pairs(); ++i) {
    if (oracle.frequency(i) == plain.frequency(i)) ++kept;
    if (oracle.frequency(i) == plain.frequency(i) / 8) ++divided;
  }
  CHECK(kept == 29);
  CHECK(divided == 29);

  struct Row {
    std::int64_t pair;
    long double w;
  };
  // 28 is the last that is kept, 29 to 34 are blended, 35 is the first that is divided.
  const std::array<Row, 7> rows{{{0, 1.0L},
                                 {28, 0.003211445994752591018543L},
                                 {29, 0.002166570763503358609342L},
                                 {30, 0.0013718935677611381604L},
                                 {34, 0.0001785078127679964185237L},
                                 {35, 0.00009556212353964683019868L},
                                 {63, 3.068925988914511089052e-7L}}};
  for (const Row& row : rows) {
    INFO("pair " << row.pair);
    CHECK(static_cast<double>(std::fabs(oracle.frequency(row.pair) / row.w - 1)) < 1e-18);
  }
}

TEST_CASE("llama3 scaling with equal factors has no blend and no NaN") {
  RopeSpec spec = spec_of(128, 128, 500000);
  spec.scaling = Llama3Scaling{16, 1, 1, 8192};
  const Oracle oracle(spec);
  const Oracle plain(spec_of(128, 128, 500000));
  for (std::int64_t i = 0; i < oracle.pairs(); ++i) {
    const long double ratio = plain.frequency(i) / oracle.frequency(i);
    const long double wavelength = 6.283185307179586476925L / plain.frequency(i);
    INFO("pair " << i);
    CHECK(static_cast<double>(ratio) == (wavelength < 8192 ? 1.0 : 16.0));
  }
}

TEST_CASE("linear scaling divides every frequency") {
  RopeSpec spec = spec_of(64, 64, 10000);
  spec.scaling = LinearScaling{4};
  const Oracle oracle(spec);
  const Oracle plain(spec_of(64, 64, 10000));
  for (std::int64_t i = 0; i < oracle.pairs(); ++i) CHECK(oracle.frequency(i) == plain.frequency(i) / 4);
}

TEST_CASE("the oracle's frequencies of every rule are those of a computation in 300 bits") {
  struct Row {
    double theta;
    std::int64_t rotary_dim;
    std::int64_t max_length;
    Scaling scaling;
    std::int64_t pair;
    long double w;
    double scale;
  };
  const std::vector<double> ones(48, 1.0);
  const std::vector<double> tens(48, 10.0);
  const Row rows[] = {
      {10000.0, 128, 8192, DynamicScaling{2, 2048}, 1, 8.396257425643113911024121e-1L, 1},
      {10000.0, 128, 8192, DynamicScaling{2, 2048}, 63, 1.649688549556368828094976e-5L, 1},
      {10000.0, 128, 0, NtkScaling{1000}, 1, 7.760343630469744112979768e-1L, 1},
      {10000.0, 128, 0, NtkScaling{1000}, 63, 1.154781984689458179666483e-7L, 1},
      {10000.0, 64, 0, YarnScaling{40, 4096, 32, 1, true, {}, 1, 1}, 10, 5.62341325190349080394951e-2L, 1},
      {10000.0, 64, 0, YarnScaling{40, 4096, 32, 1, true, {}, 1, 1}, 11, 3.900692656714385799263374e-2L, 1},
      {10000.0, 64, 0, YarnScaling{40, 4096, 32, 1, true, {}, 1, 1}, 22, 1.778279410038922801225421e-4L, 1},
      {10000.0, 64, 0, YarnScaling{40, 4096, 32, 1, true, {}, 1, 1}, 31, 3.333803580408310064189829e-6L, 1},
      {150000.0, 64, 0, YarnScaling{32, 4096, 32, 1, false}, 8, 5.081327481546147362802052e-2L, 1.346573590279972655},
      {150000.0, 64, 0, YarnScaling{32, 4096, 32, 1, false}, 9, 3.170569618466376598765548e-2L, 1.346573590279972655},
      {150000.0, 64, 0, YarnScaling{32, 4096, 32, 1, false}, 17, 1.293187012450627206078608e-4L, 1.346573590279972655},
      {150000.0, 64, 0, YarnScaling{32, 4096, 32, 1, false}, 18, 3.830881237375338291411281e-5L, 1.346573590279972655},
      {10000.0, 64, 0, YarnScaling{8, 4096, 2, 2, false, {}, 0, 0, 0.5, 1.5}, 0, 5.625e-1L, 1.811916231251975389},
      {10000.0, 64, 0, YarnScaling{8, 4096, 2, 2, false, {}, 0, 0, 0.5, 1.5}, 20, 1.778781183844713374249378e-3L,
       1.811916231251975389},
      {10000.0, 64, 0, YarnScaling{8, 4096, 2, 2, false, {}, 0, 0, 0.5, 1.5}, 21, 2.964217132077069077064691e-4L,
       1.811916231251975389},
      {10000.0, 64, 0, YarnScaling{8, 4096, 2, 2, false, {}, 0, 0, 0.5, 1.5}, 31, 1.666901790204155032094915e-5L,
       1.811916231251975389},
      {10000.0, 64, 0, DeepseekYarnScaling{40, 4096, 32, 1, 1, 0.5}, 15, 8.334508951020775160474573e-3L,
       1.155721990196260885},
      {10000.0, 96, 4096, LongRopeScaling{ones, tens, 4096, 32.0, {}, {}, {}}, 5, 3.831186849557287699111984e-1L,
       1.190238071423808333},
      {10000.0, 96, 4097, LongRopeScaling{ones, tens, 4096, 32.0, {}, {}, {}}, 5, 3.831186849557287699111984e-2L,
       1.190238071423808333},
      {1000000.0, 512, 0, ProportionalScaling{2, 0.25}, 0, 5.0e-1L, 1},
      {1000000.0, 512, 0, ProportionalScaling{2, 0.25}, 63, 1.668812347146019273099131e-2L, 1},
  };
  for (const Row& row : rows) {
    RopeSpec spec = spec_of(row.rotary_dim, row.rotary_dim, row.theta);
    spec.scaling = row.scaling;
    if (row.max_length != 0) spec.max_length = row.max_length;
    INFO(spec.to_string() << " pair " << row.pair);
    const Oracle oracle(spec);
    CHECK(static_cast<double>(std::fabs(oracle.frequency(row.pair) / row.w - 1)) < 2e-19);
    CHECK(std::fabs(oracle.attention_scale() / row.scale - 1) < 1e-15);
  }
}

TEST_CASE("the attention scale multiplies what is expected and the arithmetic's part of the bound") {
  RopeSpec spec = spec_of(2, 2, 10000);
  spec.dtype = DType::fp32;
  spec.scaling = InvFreqScaling{{1.0}, 4.0};
  spec.direction = GENERATE(Direction::forward, Direction::adjoint);
  const Oracle oracle(spec);
  std::array<double, 2> out{};
  std::array<double, 2> bound{};
  oracle.expect(oracle.angles(1), spec.q, std::array<double, 2>{1.0, 0.0}, out, bound);
  CHECK(out[0] == 4 * std::cos(1.0));
  CHECK(out[1] == (spec.direction == Direction::forward ? 4 : -4) * std::sin(1.0));
  CHECK(bound[0] == 0x1p-18 + 0x1p-23);
}

TEST_CASE("position 1 of one pair is a turn by one radian") {
  const Layout layout = GENERATE(Layout::split_half, Layout::interleaved);
  const std::vector<double> out = rotated(spec_of(2, 2, 10000, layout), 1, {1, 0});
  CHECK(out[0] == std::cos(1.0));
  CHECK(out[1] == std::sin(1.0));
}

TEST_CASE("layouts and first lane decide which lanes turn together") {
  struct Row {
    Layout layout;
    std::int64_t first_lane;
    std::int64_t partner_of_first;
  };
  const Row row = GENERATE(values<Row>({{Layout::split_half, 0, 2},
                                        {Layout::interleaved, 0, 1},
                                        {Layout::split_half, 4, 6},
                                        {Layout::interleaved, 2, 3}}));
  INFO(to_string(row.layout) << " first lane " << row.first_lane);
  std::vector<double> in(8, 0.0);
  in[static_cast<std::size_t>(row.first_lane)] = 1;
  const std::vector<double> out = rotated(spec_of(8, 4, 10000, row.layout, row.first_lane), 1, in);
  for (std::int64_t lane = 0; lane < 8; ++lane) {
    const double expected = lane == row.first_lane ? std::cos(1.0) : lane == row.partner_of_first ? std::sin(1.0) : 0.0;
    INFO("lane " << lane);
    CHECK(out[static_cast<std::size_t>(lane)] == expected);
  }
}

TEST_CASE("a rotation keeps the norm and the adjoint undoes it") {
  const Layout layout = GENERATE(Layout::split_half, Layout::interleaved);
  const std::int64_t position = GENERATE(0, 1, 4097, 2147483647, -5);
  RopeSpec spec = spec_of(96, 64, 500000, layout, 32);
  std::vector<double> in(96);
  double norm = 0;
  for (std::size_t lane = 0; lane < in.size(); ++lane) {
    in[lane] = std::sin(static_cast<double>(lane * lane) + 0.5);
    norm += in[lane] * in[lane];
  }
  const std::vector<double> turned = rotated(spec, position, in);
  double turned_norm = 0;
  for (const double value : turned) turned_norm += value * value;
  CHECK(std::fabs(turned_norm - norm) < 1e-13);

  spec.direction = Direction::adjoint;
  const std::vector<double> back = rotated(spec, position, turned);
  for (std::size_t lane = 0; lane < in.size(); ++lane) {
    INFO("lane " << lane);
    CHECK(std::fabs(back[lane] - in[lane]) < 1e-14);
    if (lane < 32) CHECK(turned[lane] == in[lane]);
  }
  if (position != 0) CHECK(std::fabs(turned[40] - in[40]) > 1e-9);
}

TEST_CASE("the bound is half an ulp of the dtype and 2^-20 of what goes in") {
  RopeSpec spec = spec_of(2, 2, 10000);
  const double ulp = GENERATE(0x1p-8, 0x1p-11, 0x1p-24);
  spec.dtype = ulp == 0x1p-8 ? DType::bf16 : ulp == 0x1p-11 ? DType::fp16 : DType::fp32;
  const Oracle oracle(spec);
  std::array<double, 2> out{};
  std::array<double, 2> bound{};
  oracle.expect(oracle.angles(0), spec.q, std::array<double, 2>{1.5, -0.25}, out, bound);
  CHECK(bound[0] == ulp + 0x1p-20 * 1.75);
  CHECK(bound[1] == ulp / 4 + 0x1p-20 * 1.75);
}

TEST_CASE("a check of elements finds the smallest wrong rotation and the slightest touch of other lanes") {
  for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
    RopeSpec spec = spec_of(8, 4, 10000, Layout::split_half, 2);
    spec.dtype = dtype;
    Oracle oracle(spec);
    const Angles& angles = oracle.at(12345);
    // Strided by 3 elements, so that strides are seen to count.
    std::vector<unsigned char> before(8 * 3 * element_bytes(dtype));
    std::vector<unsigned char> after(before.size());
    std::vector<double> in(8);
    std::vector<double> out(8);
    std::vector<double> bound(8);
    for (std::int64_t lane = 0; lane < 8; ++lane) {
      store_bits(dtype, before.data(), 3 * lane, encode(dtype, 0.3 + 0.1 * static_cast<double>(lane)));
      in[static_cast<std::size_t>(lane)] = decode(dtype, load_bits(dtype, before.data(), 3 * lane));
    }
    oracle.expect(angles, spec.q, in, out, bound);
    for (std::int64_t lane = 0; lane < 8; ++lane) {
      store_bits(dtype, after.data(), 3 * lane, encode(dtype, out[static_cast<std::size_t>(lane)]));
    }
    const auto check = [&] {
      Comparison result;
      oracle.check(angles, spec.q, {before.data(), 3}, {after.data(), 3}, {1, 2, 3, 0}, result);
      return result;
    };
    INFO(to_string(dtype) << ": " << check().to_string());
    CHECK(check().passed());
    CHECK(check().count() == 8);

    for (std::int64_t lane = 0; lane < 8; ++lane) {
      const bool rotates = lane >= 2 && lane < 6;
      const ElementBits right = load_bits(dtype, after.data(), 3 * lane);
      const ElementBits off = dtype == DType::fp32 && rotates ? 64 : rotates ? 2 : 1;
      store_bits(dtype, after.data(), 3 * lane, right + off);
      const Comparison result = check();
      INFO("lane " << lane);
      CHECK(result.failures() == 1);
      REQUIRE(result.first_failure().has_value());
      CHECK(result.first_failure()->index == ElementIndex{1, 2, 3, lane});
      store_bits(dtype, after.data(), 3 * lane, right);
    }
  }
}

namespace {

// A head of four lanes, of which the last two rotate, at the angle 1; x = {1, -7, 7, 1}, whose root of the mean square
// is 5.
struct NormedHead {
  NormedHead() {
    spec.dtype = DType::fp32;
    spec.rotary_dim = 2;
    spec.q = {1, 4, 2};
    spec.q.norm = Norm{1e-20, std::nullopt};
  }

  Comparison check(const std::array<float, 4>& after) const {
    const Oracle oracle(spec);
    Comparison result;
    oracle.check(oracle.angles(1), spec.q, {before.data(), 1}, {after.data(), 1}, {}, result, {.weights = weights});
    CHECK(result.count() == 4);
    return result;
  }

  RopeSpec spec;
  std::array<float, 4> before{1, -7, 7, 1};
  std::vector<double> weights{1, 2, -1, 3};
  std::array<float, 4> normed{0.2F, -2.8F, static_cast<float>(-1.4 * std::cos(1.0) - 0.6 * std::sin(1.0)),
                              static_cast<float>(0.6 * std::cos(1.0) - 1.4 * std::sin(1.0))};
};

}  // namespace

TEST_CASE("all lanes of a head with a norm are normed, and those that rotate are turned after that") {
  const NormedHead head;
  INFO(head.check(head.normed).to_string());
  CHECK(head.check(head.normed).passed());
  for (std::size_t lane = 0; lane < 4; ++lane) {
    std::array<float, 4> after = head.normed;
    after[lane] *= 1 + 0x1p-17F;
    INFO("lane " << lane);
    CHECK(head.check(after).failures() == 1);
    after[lane] = head.before[lane];
    CHECK(head.check(after).failures() == 1);
  }

  const Oracle oracle(head.spec);
  std::array<double, 4> out{};
  std::array<double, 4> bound{};
  oracle.expect(oracle.angles(1), head.spec.q, std::array<double, 4>{1, -7, 7, 1}, out, bound,
                {.weights = head.weights});
  for (std::size_t lane = 0; lane < 4; ++lane) {
    CHECK(std::fabs(out[lane] - static_cast<double>(head.normed[lane])) < bound[lane]);
    CHECK(bound[lane] < 0x1p-18);
  }
}

TEST_CASE("a statistic that is given is exact, and one that is handed out is judged by the lanes") {
  NormedHead head;
  const auto check = [&](float r, const std::array<float, 4>& after) {
    const Oracle oracle(head.spec);
    Comparison result;
    oracle.check(oracle.angles(1), head.spec.q, {head.before.data(), 1}, {after.data(), 1}, {}, result,
                 {.weights = head.weights, .given = static_cast<double>(r)});
    return result.failures();
  };
  // It is not the lanes' own.
  head.spec.q.norm->statistic = Statistic::given;
  std::array<float, 4> twice = head.normed;
  for (float& lane : twice) lane *= 2;
  CHECK(check(0.4F, twice) == 0);
  CHECK(check(0.4F, head.normed) == 4);
  // Still lanes have two roundings of fp32 and no more: a root's error is beyond that.
  for (std::size_t lane = 0; lane < 2; ++lane) {
    std::array<float, 4> after = twice;
    after[lane] *= 1 + 0x1p-21F;
    CHECK(check(0.4F, after) == 1);
  }
  CHECK_THROWS_AS(head.check(head.normed), std::invalid_argument);
  head.spec.q.norm->statistic = Statistic::computed;
  CHECK(check(0.4F, head.normed) == 0);

  const Oracle oracle(head.spec);
  const auto handed_out = [&](float r) {
    Comparison result;
    const HeadRow before{head.before.data(), 1};
    Oracle::check_statistic(oracle.statistic({}, head.spec.q, {&before, 1}).r, r, {1, 2, 3, 0}, result);
    CHECK(result.count() == 1);
    return result.passed();
  };
  CHECK(handed_out(0.2F));
  CHECK(handed_out(0.2F * (1 + 0x1p-22F)));
  CHECK_FALSE(handed_out(0.2F * (1 + 0x1p-19F)));
  CHECK_FALSE(handed_out(0.0F));
  head.before[2] = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(handed_out(0.2F));
  CHECK(handed_out(std::numeric_limits<float>::quiet_NaN()));
}

TEST_CASE("a head with a norm is not judged without a weight for each lane") {
  NormedHead head;
  head.weights.pop_back();
  CHECK_THROWS_AS(head.check(head.normed), std::invalid_argument);
  head.weights.clear();
  CHECK_THROWS_AS(head.check(head.normed), std::invalid_argument);
  head.spec.q.norm.reset();
  CHECK_NOTHROW(head.check(head.normed));
}

TEST_CASE("a copy with a norm has every lane normed, in the type that is written, whatever the token") {
  NormedHead head;
  head.spec.k = head.spec.q;
  head.spec.k->first_lane = 0;
  head.spec.k->rotates = false;
  head.spec.k->dtype_out = DType::bf16;
  const Oracle oracle(head.spec);
  std::array<std::uint16_t, 4> after{};
  const std::array<double, 4> normed{0.2, -2.8, -1.4, 0.6};
  for (std::int64_t lane = 0; lane < 4; ++lane) {
    store_bits(DType::bf16, after.data(), lane, encode(DType::bf16, normed[static_cast<std::size_t>(lane)]));
  }
  const auto failures = [&](const auto& judge) {
    Comparison result;
    judge(result);
    CHECK(result.count() == 4);
    return result.failures();
  };
  const HeadRow before{head.before.data(), 1};
  const auto all = [&] {
    return std::array<std::int64_t, 4>{
        failures([&](Comparison& c) {
          oracle.check_copy(*head.spec.k, before, {after.data(), 1}, {}, c, {.weights = head.weights});
        }),
        failures([&](Comparison& c) {
          oracle.check(oracle.angles(1), *head.spec.k, before, {after.data(), 1}, {}, c, {.weights = head.weights});
        }),
        failures([&](Comparison& c) {
          oracle.check_padding(Padding::zero, *head.spec.k, before, {after.data(), 1}, {}, c,
                               {.weights = head.weights});
        }),
        failures([&](Comparison& c) {
          oracle.check_padding(Padding::keep, *head.spec.k, before, {after.data(), 1}, {}, c,
                               {.weights = head.weights});
        })};
  };
  CHECK(all() == std::array<std::int64_t, 4>{0, 0, 0, 0});
  after[1] ^= 2;
  CHECK(all() == std::array<std::int64_t, 4>{1, 1, 1, 1});
}

TEST_CASE("padding with a norm is zero in every lane, or kept as it was without the norm") {
  const NormedHead head;
  const Oracle oracle(head.spec);
  const auto failures = [&](Padding padding, const std::array<float, 4>& after) {
    Comparison result;
    oracle.check_padding(padding, head.spec.q, {head.before.data(), 1}, {after.data(), 1}, {}, result,
                         {.weights = head.weights});
    CHECK(result.count() == 4);
    return result.failures();
  };
  CHECK(failures(Padding::zero, {0, 0, 0, 0}) == 0);
  CHECK(failures(Padding::zero, {0, -0.0F, 0, 0}) == 1);
  CHECK(failures(Padding::zero, {1, -7, 0, 0}) == 2);
  CHECK(failures(Padding::keep, head.before) == 0);
  CHECK(failures(Padding::keep, head.normed) == 4);
}
