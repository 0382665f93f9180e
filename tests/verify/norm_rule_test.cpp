#include "verify/norm_rule.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/catch.hpp"
#include "support/norm_rules.hpp"

using namespace ropejit;
using namespace ropejit::internal;
using test::normed;
using test::Numbers;
using test::rounded;
using test::rule_of;
using test::tree_sum;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Neither eps nor anything else in fp32 is seen beside it.
constexpr double kLeastEps = 1e-20;

Numbers ones(const Numbers& like) { return Numbers(like.size(), 1.0); }

// What a kernel computes, in the floats of this machine.
std::vector<float> computed(const NormRule& rule, const Numbers& lanes, const Numbers& weights) {
  std::vector<float> squares;
  for (const double lane : lanes) squares.push_back(static_cast<float>(lane) * static_cast<float>(lane));
  const float mean = tree_sum(squares) * static_cast<float>(1.0 / static_cast<double>(lanes.size()));
  const float root = 1.0F / std::sqrt(mean + static_cast<float>(rule.norm.eps));
  std::vector<float> result;
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    float lane = static_cast<float>(lanes[i]) * root;
    if (rule.round_after.norm) lane = rounded(rule.dtype, lane);
    lane *= static_cast<float>(weights[i]);
    result.push_back(rule.round_after.weight ? rounded(rule.dtype, lane) : lane);
  }
  return result;
}

}  // namespace

TEST_CASE("A normed lane is what a person works out by hand") {
  struct Row {
    Numbers lanes;
    Numbers weights;
    double eps;
    Numbers expected;
  };
  const double eps = static_cast<double>(0.1F);
  const Row rows[] = {
      {{1, 1, 1, 1}, {1, 2, -3, 0}, kLeastEps, {1, 2, -3, 0}},
      {{3, -3}, {2, -1}, kLeastEps, {2, 1}},
      {{1, 7}, {1, 3}, kLeastEps, {0.2, 4.2}},
      {{1, -7, 1, 7, -1, 7}, {1, 1, 1, 0.5, 1, 1}, kLeastEps, {0.2, -1.4, 0.2, 0.7, -0.2, 1.4}},
      {{0, 0, 0, 4}, {1, 1, 1, 1}, kLeastEps, {0, 0, 0, 2}},
      // eps beside a mean that is nothing: the fp32 number, which is 1.5e-9 more than 0.1.
      {{0x1p-60, 0x1p-60}, {1, 1}, 0.1, {0x1p-60 / std::sqrt(eps), 0x1p-60 / std::sqrt(eps)}},
      {{1, 1}, {1, 1}, 1, {std::sqrt(0.5), std::sqrt(0.5)}},
  };
  for (const Row& row : rows) {
    const std::vector<LaneValue> lanes = normed(rule_of(row.eps, DType::fp32, {}), row.lanes, row.weights);
    REQUIRE(lanes.size() == row.expected.size());
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      CAPTURE(row.lanes, row.eps, i);
      CHECK(std::fabs(lanes[i].value - row.expected[i]) <= 1e-14 * std::fabs(row.expected[i]));
      CHECK(lanes[i].error >= 0x1p-21 * std::fabs(row.expected[i]));
      CHECK(lanes[i].error <= 0x1p-20 * std::fabs(row.expected[i]));
    }
  }
}

TEST_CASE("Each rounding point costs half an ulp of the 16-bit type where it stands, and nothing in fp32") {
  struct Row {
    DType dtype;
    RoundAfter round_after;
    double error;
  };
  // 7 / 5 is rounded near 1.4, then tripled; that is rounded near 4.2.
  const Row rows[] = {
      {DType::bf16, {false, false}, 0},     {DType::bf16, {true, false}, 3 * 0x1p-8},
      {DType::bf16, {false, true}, 0x1p-6}, {DType::bf16, {true, true}, 3 * 0x1p-8 + 0x1p-6},
      {DType::fp16, {false, false}, 0},     {DType::fp16, {true, false}, 3 * 0x1p-11},
      {DType::fp16, {false, true}, 0x1p-9}, {DType::fp16, {true, true}, 3 * 0x1p-11 + 0x1p-9},
      {DType::fp32, {false, false}, 0},     {DType::fp32, {true, true}, 0},
  };
  for (const Row& row : rows) {
    const LaneValue lane = normed(rule_of(kLeastEps, row.dtype, row.round_after), Numbers{1, 7}, Numbers{1, 3}).back();
    INFO(to_string(row.dtype) << (row.round_after.norm ? " norm" : "") << (row.round_after.weight ? " weight" : ""));
    CHECK(std::fabs(lane.value - 4.2) < 1e-14);
    CHECK(lane.error > row.error + 4.2 * 0x1p-21);
    CHECK(lane.error < row.error + 4.2 * 0x1p-20);
  }
}

TEST_CASE("Zeros stay zeros without an error, in a row of zeros too") {
  for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
    for (const Numbers& in : {Numbers{0, -0.0, 0, 0}, Numbers{0, 0, 5, 0}}) {
      const std::vector<LaneValue> lanes = normed(rule_of(1e-6, dtype, {true, true}), in, ones(in));
      for (const std::size_t i : {0U, 1U, 3U}) {
        CHECK(lanes[i].value == 0);
        CHECK(lanes[i].error == 0);
      }
    }
    const Numbers two{2, -2};
    const std::vector<LaneValue> lanes = normed(rule_of(1e-6, dtype, {}), two, Numbers{0, 0});
    CHECK(lanes[0].value == 0);
    CHECK(lanes[1].error == 0);
  }
}

TEST_CASE("A NaN makes the head NaN; an infinity makes itself NaN and all other lanes 0") {
  const Numbers with_nan{1, kNaN, kInfinity, 0};
  for (const LaneValue& lane : normed(rule_of(), with_nan, ones(with_nan))) CHECK(std::isnan(lane.value));

  const Numbers with_infinity{1, -kInfinity, 3e38, 0};
  const std::vector<LaneValue> lanes = normed(rule_of(), with_infinity, ones(with_infinity));
  CHECK(std::isnan(lanes[1].value));
  for (const std::size_t i : {0U, 2U, 3U}) {
    CHECK(lanes[i].value == 0);
    CHECK(lanes[i].error == 0);
  }
}

TEST_CASE("Weights that are no numbers make none of others") {
  const Numbers in{1, 1, 0};
  const std::vector<LaneValue> lanes = normed(rule_of(), in, Numbers{kNaN, -kInfinity, kInfinity});
  CHECK(std::isnan(lanes[0].value));
  CHECK(lanes[1].value == -kInfinity);
  CHECK(std::isnan(lanes[2].value));
}

TEST_CASE("Squares whose sum is beyond fp32 leave 0, and either answer is right where fp32 just ends") {
  // The square of it is where fp32 rounds to infinity.
  const double end = std::sqrt(overflow_threshold(DType::fp32));
  struct Row {
    double lane;
    double least;
    double most;
  };
  const double root_of_two = std::sqrt(2.0);
  const double near = 2e-6;
  const Row rows[] = {
      {end * 0.999, root_of_two - near, root_of_two + near},
      {end * 0.9999, -near, root_of_two + near},
      {end, -near, root_of_two + near},
      {end * 1.0001, -near, root_of_two + near},
      {end * 1.001, 0, 0},
      {3e38, 0, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lane);
    const LaneValue lane = normed(rule_of(1e-6, DType::fp32, {}), Numbers{row.lane, 0}, Numbers{1, 1}).front();
    CHECK(lane.value - lane.error >= row.least);
    CHECK(lane.value + lane.error <= row.most);
    // Both answers lie within, to what fp32 may do.
    CHECK(lane.value - lane.error <= std::max(row.least, 0.0) + near);
    CHECK(lane.value + lane.error >= row.most - 2 * near);
  }
}

TEST_CASE("What overflows where it is rounded is an infinity, and where that is open any number is right") {
  struct Row {
    double weight;
    double value;
    DType dtype;
    bool round_weight;
    bool open;
  };
  const Row rows[] = {
      {1e5, kInfinity, DType::fp16, true, false},
      {-1e5, -kInfinity, DType::fp16, true, false},
      {65520, 65520, DType::fp16, true, true},
      {65000, 65000, DType::fp16, true, false},
      {1e5, 1e5, DType::fp16, false, false},
      {1e5, 1e5, DType::bf16, true, false},
      {0x1.ffp127, 0x1.ffp127, DType::bf16, true, true},
      {0x1p127, 0x1p127, DType::fp32, false, false},
  };
  for (const Row& row : rows) {
    CAPTURE(to_string(row.dtype), row.weight);
    const LaneValue lane =
        normed(rule_of(kLeastEps, row.dtype, {false, row.round_weight}), Numbers{1, 1}, Numbers{row.weight, 1}).front();
    CHECK(lane.value == row.value);
    CHECK(std::isinf(lane.error) == row.open);
  }
}

TEST_CASE("What fp32 makes of a head is within the error, which is no more than it need be") {
  constexpr std::int64_t kDims[] = {2, 6, 64, 66, 128, 576, 1024};
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  for (const DType dtype : kTypes) {
    for (const RoundAfter round_after : {RoundAfter{}, RoundAfter{true, false}, {false, true}, {true, true}}) {
      double worst = 0;
      for (const std::int64_t dim : kDims) {
        for (const double scale : {1.0, 0x1p-12, 0x1p+9}) {
          Numbers lanes;
          Numbers weights;
          for (std::int64_t i = 0; i < dim; ++i) {
            lanes.push_back(decode(dtype, encode(dtype, scale * normal(random))));
            weights.push_back(decode(DType::bf16, encode(DType::bf16, 1 + 0.25 * normal(random))));
          }
          const NormRule rule = rule_of(1e-6, dtype, round_after);
          const std::vector<LaneValue> expected = normed(rule, lanes, weights);
          const std::vector<float> got = computed(rule, lanes, weights);
          for (std::size_t i = 0; i < got.size(); ++i) {
            worst = std::max(worst, std::fabs(double{got[i]} - expected[i].value) / expected[i].error);
          }
        }
      }
      INFO(to_string(dtype) << (round_after.norm ? " norm" : "") << (round_after.weight ? " weight" : ""));
      CHECK(worst <= 1);
      CHECK(worst > 0.15);
    }
  }
}
