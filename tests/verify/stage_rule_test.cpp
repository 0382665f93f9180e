#include "verify/stage_rule.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<LaneValue> staged(StageName stage, const Operand& operand, std::vector<LaneValue> lanes,
                              const RowData& data = {}, const RoundAfter& round_after = {}, DType dtype = DType::bf16) {
  return staged_lanes(stage, operand, dtype, round_after, std::move(lanes), data);
}

}  // namespace

TEST_CASE("Stages come in the order of their names, or in that which the operand gives them") {
  Operand operand{2, 4, 0};
  CHECK(stages_in_order(operand, true) == std::vector{StageName::rotate});
  CHECK(stages_in_order(operand, false).empty());
  CHECK_FALSE(has_stage_beside_rotation(operand));
  operand.temperature = Temperature{};
  operand.norm = Norm{};
  operand.scale = 2.0;
  operand.clamp = 1.0;
  operand.bias = operand.head_scales = true;
  CHECK(stages_in_order(operand, true) == std::vector{StageName::bias, StageName::norm, StageName::clamp,
                                                      StageName::scale, StageName::head_scale, StageName::rotate,
                                                      StageName::temperature});
  CHECK(stages_in_order(operand, false).size() == 6);
  operand.order = {StageName::rotate, StageName::norm};
  CHECK(stages_in_order(operand, true) == operand.order);
  CHECK(stages_in_order(operand, false) == std::vector{StageName::norm});
}

TEST_CASE("Every stage beside the rotation is one") {
  std::vector<Operand> operands(6);
  operands[0].bias = true;
  operands[1].norm = Norm{};
  operands[2].clamp = 1;
  operands[3].scale = 1;
  operands[4].head_scales = true;
  operands[5].temperature = Temperature{};
  for (const Operand& operand : operands) CHECK(has_stage_beside_rotation(operand));
}

TEST_CASE("tau is what a person works out, and exactly 1 before it grows") {
  struct Row {
    Temperature temperature;
    std::int64_t position;
    double tau;
  };
  constexpr std::int64_t kFar = std::int64_t{1} << 40;
  const Row rows[] = {
      // Llama 4: 1 + 0.1 ln(1 + floor((p + 1) / 8192))
      {{0.1, 8192, true, 1}, 0, 1},
      {{0.1, 8192, true, 1}, 8190, 1},
      {{0.1, 8192, true, 1}, 8191, 1 + 0.1 * std::log(2.0)},
      {{0.1, 8192, true, 1}, 1000000, 1 + 0.1 * std::log(123.0)},
      {{0.1, 8192, true, 1}, kFar, 1 + 0.1 * std::log(134217729.0)},
      {{0.1, 8192, true, 0}, 8191, 1},
      {{0.1, 8192, true, 0}, -1, 1},
      {{0.1, 8192, true, 0}, -8193, 1},
      {{-2, 1, true, 0}, 3, 1 - 2 * std::log(4.0)},
      // logN: ln p / ln N
      {{1 / std::log(512.0), 512, false, 0}, 511, 1},
      {{1 / std::log(512.0), 512, false, 0}, 512, 1},
      {{1 / std::log(512.0), 512, false, 0}, 4096, std::log(4096.0) / std::log(512.0)},
      {{1 / std::log(512.0), 512, false, 1}, 4095, std::log(4096.0) / std::log(512.0)},
      {{1, 1, false, 0}, -kFar, 1},
      {{1, kFar, false, 0}, std::numeric_limits<std::int64_t>::max(), 1 + 23 * std::log(2.0)},
      {{1, kFar, false, 1}, std::numeric_limits<std::int64_t>::max(), 1 + 23 * std::log(2.0)},
  };
  for (const Row& row : rows) {
    CAPTURE(row.temperature.length, row.position);
    const LaneValue tau = temperature_factor(row.temperature, row.position);
    CHECK(std::fabs(tau.value - row.tau) < 1e-7 * (1 + std::fabs(row.tau)));
    CHECK((tau.error == 0) == (row.tau == 1));
    CHECK(tau.error < 2.1e-6 * (2 + std::fabs(row.tau)));
  }
}

TEST_CASE("A known lane stays known through biases, scales and clamps, each rounded to fp32") {
  Operand operand{2, 2, 0};
  operand.bias = true;
  operand.scale = 0.1;
  operand.clamp = 3;
  operand.head_scales = true;
  const std::vector<double> biases = {9, 9, 0x1p-24, -0.5};
  const std::vector<double> scales = {9, 3};
  const RowData data{.biases = biases, .head_scales = scales, .head = 1};
  const auto expect = [](const std::vector<LaneValue>& lanes, double a, double b) {
    CHECK(lanes[0].value == a);
    CHECK(lanes[1].value == b);
    CHECK(lanes[0].error == 0);
    CHECK(lanes[1].error == 0);
  };
  // 1 + 2^-24 is halfway, and 1 is even.
  expect(staged(StageName::bias, operand, {{1, 0}, {1, 0}}, data), 1, 0.5);
  expect(staged(StageName::scale, operand, {{3, 0}, {-1, 0}}), static_cast<double>(3 * 0.1F),
         static_cast<double>(-0.1F));
  expect(staged(StageName::head_scale, operand, {{0x1.000002p0, 0}, {-1, 0}}, data), 0x1.800004p1, -3);
  expect(staged(StageName::clamp, operand, {{3.5, 0}, {-kInfinity, 0}}), 3, -3);
  expect(staged(StageName::clamp, operand, {{-0.0, 0}, {-3, 0}}), 0, -3);
  CHECK(std::isnan(staged(StageName::clamp, operand, {{std::nan(""), 0}}).front().value));
}

TEST_CASE("A rounding point of a stage rounds to the 16-bit dtype, and to none in fp32") {
  Operand operand{1, 1, 0};
  operand.bias = true;
  operand.scale = 1;
  operand.head_scales = true;
  operand.clamp = 9;
  const std::vector<double> biases = {0x1p-10};
  const std::vector<double> scales = {0x1.004p0};
  const RowData data{.biases = biases, .head_scales = scales};
  RoundAfter bias_alone;
  bias_alone.bias = true;
  RoundAfter scale_alone;
  scale_alone.scale = true;
  const auto value = [&](StageName stage, double lane, const RoundAfter& after, DType dtype) {
    return staged(stage, operand, {{lane, 0}}, data, after, dtype).front().value;
  };
  CHECK(value(StageName::bias, 1, {}, DType::bf16) == 1 + 0x1p-10);
  CHECK(value(StageName::bias, 1, scale_alone, DType::bf16) == 1 + 0x1p-10);
  CHECK(value(StageName::bias, 1, bias_alone, DType::bf16) == 1);
  CHECK(value(StageName::bias, 1, bias_alone, DType::fp32) == 1 + 0x1p-10);
  for (const StageName stage : {StageName::scale, StageName::head_scale}) {
    CHECK(value(stage, 1 + 0x1p-12, bias_alone, DType::bf16) > 1);
    CHECK(value(stage, 1 + 0x1p-12, scale_alone, DType::bf16) == 1);
    CHECK(value(stage, 1 + 0x1p-12, scale_alone, DType::fp32) > 1);
  }
  const LaneValue rounded = staged(StageName::scale, operand, {{1.5, 0x1p-10}}, data, scale_alone).front();
  CHECK(rounded.is_element);
  CHECK(rounded.error >= 0x1p-10 + 0x1p-8);
  CHECK(rounded.error < 0x1p-10 + 0x1p-7);
  CHECK_FALSE(staged(StageName::clamp, operand, {rounded}).front().is_element);
}

TEST_CASE("Errors grow with factors, and what is held within a limit has none beyond it") {
  Operand operand{1, 1, 0};
  operand.scale = -4;
  operand.clamp = 2;
  operand.temperature = Temperature{0.1, 10, true, 0};
  CHECK(staged(StageName::scale, operand, {{1, 0.25}}).front().error > 1);
  CHECK(staged(StageName::scale, operand, {{1, 0.25}}).front().error < 1.001);
  CHECK(staged(StageName::clamp, operand, {{1, 0.25}}).front().error == 0.25);
  CHECK(staged(StageName::clamp, operand, {{1.9, 0.25}}).front().error == 0.25);
  CHECK(staged(StageName::clamp, operand, {{3, 0.25}}).front().error == 0);
  CHECK(staged(StageName::clamp, operand, {{3, kInfinity}}).front().error == 4);
  // Before it grows tau is no factor at all; afterwards its own bound comes with it, and its rounding.
  const std::vector<LaneValue> known = {{3, 0}};
  CHECK(staged(StageName::temperature, operand, known, {.position = 9}).front().error == 0);
  const double tau = 1 + static_cast<double>(0.1F) * std::log(3.0);
  const LaneValue grown = staged(StageName::temperature, operand, known, {.position = 25}).front();
  CHECK(std::fabs(grown.value - 3 * tau) < 1e-12);
  CHECK(grown.error > 3 * 2e-6);
  CHECK(grown.error < 3 * 2.5e-6);
  RoundAfter after;
  after.tau = true;
  CHECK(staged(StageName::temperature, operand, known, {.position = 25}, after).front().error > 3 * 0x1p-8);
  CHECK(staged(StageName::temperature, operand, known, {.position = 25}, after).front().error < 3 * 0x1.01p-8);
}

TEST_CASE("A scale of 0 leaves 0 for certain, whose sign is that of the lane where it has one") {
  Operand operand{1, 1, 0};
  operand.scale = 0;
  const auto scaled = [&](const LaneValue& lane) { return staged(StageName::scale, operand, {lane}).front(); };
  CHECK(scaled({-2, 0.5}).error == 0);
  CHECK(std::signbit(scaled({-2, 0.5}).value));
  CHECK(scaled({-0.5, 2}).value == 0);
  CHECK(scaled({-0.5, 2}).error > 0);
  CHECK(scaled({-0.5, 2}).error < 0x1p-149);
}

TEST_CASE("Nothing is judged without the numbers that a stage reads") {
  Operand operand{2, 2, 0};
  operand.bias = operand.head_scales = true;
  const std::vector<double> three = {1, 2, 3};
  const std::vector<double> one = {1};
  CHECK_THROWS_AS(staged(StageName::bias, operand, {{1, 0}, {1, 0}}, {.biases = three, .head = 1}),
                  std::invalid_argument);
  CHECK_THROWS_AS(staged(StageName::head_scale, operand, {{1, 0}}, {.head_scales = one, .head = 1}),
                  std::invalid_argument);
  CHECK_NOTHROW(staged(StageName::bias, operand, {{1, 0}, {1, 0}}, {.biases = three, .head = 0}));
  CHECK_THROWS_AS(staged(StageName::norm, operand, {{1, 0}}), std::invalid_argument);
}
