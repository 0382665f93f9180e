// Norms of every kind, over heads and over tokens, and what becomes of the errors of lanes that were known within some.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/catch.hpp"
#include "support/norm_rules.hpp"
#include "verify/norm_rule.hpp"

using namespace ropejit;
using namespace ropejit::internal;
using test::known;
using test::normed;
using test::Numbers;
using test::rounded;
using test::rule_of;
using test::tree_sum;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Heads of random lanes around `middle`.
std::vector<Numbers> random_heads(std::mt19937_64& random, std::size_t heads, std::size_t lanes, double middle,
                                  double deviation) {
  std::normal_distribution<double> normal(middle, deviation);
  std::vector<Numbers> result(heads, Numbers(lanes));
  for (Numbers& head : result) {
    for (double& lane : head) lane = static_cast<double>(static_cast<float>(normal(random)));
  }
  return result;
}

StatisticValue statistic_of_heads(const NormRule& rule, const std::vector<Numbers>& heads) {
  std::vector<std::vector<LaneValue>> all;
  for (const Numbers& head : heads) all.push_back(known(head));
  return internal::statistic_of(rule, all);
}

/// r, sum and mean as a kernel computes them, in the floats of this machine: each head's tree, then the heads, blocks
/// of an odd number of neighbours one after the other and blocks in pairs.
struct Computed {
  float r;
  float sum;
  float mean;
};

float sum_of_heads(const std::vector<float>& heads) {
  std::size_t odd = heads.size();
  while (odd % 2 == 0) odd /= 2;
  std::vector<float> blocks;
  for (std::size_t first = 0; first < heads.size(); first += odd) {
    float block = heads[first];
    for (std::size_t i = 1; i < odd; ++i) block += heads[first + i];
    blocks.push_back(block);
  }
  while (blocks.size() > 1) {
    for (std::size_t i = 0; i < blocks.size() / 2; ++i) blocks[i] = blocks[2 * i] + blocks[2 * i + 1];
    blocks.resize(blocks.size() / 2);
  }
  return blocks[0];
}

Computed computed_of(const Norm& norm, const std::vector<Numbers>& heads) {
  std::size_t count = 0;
  const auto over_all = [&](const auto& of_lane) {
    std::vector<float> sums;
    count = 0;
    for (const Numbers& head : heads) {
      const NormedLanes part = normed_lanes_of(norm, head.size());
      std::vector<float> terms;
      for (std::size_t i = 0; i < part.count; ++i) terms.push_back(of_lane(static_cast<float>(head[part.first + i])));
      sums.push_back(tree_sum(terms));
      count += part.count;
    }
    return sum_of_heads(sums);
  };
  const float total = over_all([](float x) { return x; });
  const float share = 1.0F / static_cast<float>(count);
  const float mean = norm.kind == NormKind::layer ? total * share : 0.0F;
  const float sum = over_all([&](float x) { return (x - mean) * (x - mean); });
  const auto eps = static_cast<float>(norm.eps);
  const float square = norm.kind == NormKind::l2 ? std::max(sum, eps * eps) : sum * share + eps;
  return {1.0F / std::sqrt(square), sum, mean};
}

double ratio(float got, const LaneValue& wanted) {
  return std::fabs(static_cast<double>(got) - wanted.value) / wanted.error;
}

}  // namespace

TEST_CASE("Layer and L2 norms, 1 + w, biases and ranges of lanes are what a person works out by hand") {
  const Numbers lanes{1, 2, 3, 6};  // the mean is 3, the variance 14 / 4, the sum of squares 50
  const Numbers weights{1, 2, -1, 3};
  const Numbers biases{0, 0.5, -1, 4};
  const double deviation = std::sqrt(3.5);
  const double length = std::sqrt(50.0);
  struct Row {
    const char* what;
    void (*set)(Norm& norm);
    Numbers expected;
  };
  const Row rows[] = {
      {"layer", [](Norm& n) { n.kind = NormKind::layer; }, {-2 / deviation, -2 / deviation, 0, 9 / deviation}},
      {"layer with biases",
       [](Norm& n) {
         n.kind = NormKind::layer;
         n.bias = true;
       },
       {-2 / deviation, -2 / deviation + 0.5, -1, 9 / deviation + 4}},
      {"l2", [](Norm& n) { n.kind = NormKind::l2; }, {1 / length, 4 / length, -3 / length, 18 / length}},
      {"1 + w",
       [](Norm& n) {
         n.kind = NormKind::l2;
         n.plus_one = true;
       },
       {2 / length, 6 / length, 0, 24 / length}},
      {"no weights",
       [](Norm& n) {
         n.kind = NormKind::l2;
         n.weight = NormWeight::none;
       },
       {1 / length, 2 / length, 3 / length, 6 / length}},
      {"l2 of the middle",
       [](Norm& n) {
         n.kind = NormKind::l2;
         n.first_lane = 1;
         n.lanes = 2;
       },
       {1, 4 / std::sqrt(13.0), -3 / std::sqrt(13.0), 6}},
      {"layer of the last two",
       [](Norm& n) {
         n.kind = NormKind::layer;
         n.first_lane = 2;
       },
       {1, 2, 1, 3}},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    NormRule rule = rule_of(1e-18, DType::fp32);
    row.set(rule.norm);
    const bool has_weights = rule.norm.weight != NormWeight::none;
    const std::vector<LaneValue> made =
        normed(rule, lanes, has_weights ? weights : Numbers{}, rule.norm.bias ? biases : Numbers{});
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      CAPTURE(i);
      CHECK(std::fabs(made[i].value - row.expected[i]) < 1e-14 * (1 + std::fabs(row.expected[i])));
      CHECK(made[i].error < 1e-5);
      const bool is_outside = i < static_cast<std::size_t>(rule.norm.first_lane) ||
                              i >= normed_lanes_of(rule.norm, 4).first + normed_lanes_of(rule.norm, 4).count;
      if (is_outside) CHECK(made[i].error == 0);
      if (!is_outside && made[i].value != 0) CHECK(made[i].error > 0);
    }
  }
}

TEST_CASE("L2 norms divide by no less than eps, and a layer norm of equal lanes is its biases") {
  NormRule l2 = rule_of(0.5, DType::fp32);
  l2.norm.kind = NormKind::l2;
  CHECK(normed(l2, {0.1, 0}, {1, 1}).front().value == 0.2);
  CHECK(std::fabs(normed(l2, {3, 4}, {1, 1}).front().value - 0.6) < 1e-15);
  NormRule layer = rule_of(1e-5, DType::fp32);
  layer.norm.kind = NormKind::layer;
  for (const LaneValue& lane : normed(layer, {1000, 1000, 1000, 1000}, {2, 2, 2, 2}, {5, 5, 5, 5})) {
    CHECK(lane.value == 5);
    // The mean is known to within 2^-24 of 1,000 a few times, which is then divided by the root of eps.
    CHECK(lane.error > 1000 * 0x1p-24 / std::sqrt(1e-5));
    CHECK(lane.error < 1000 * 0x1p-19 / std::sqrt(1e-5));
  }
}

TEST_CASE("Statistics of every kind and span in fp32 are within their errors, far from zero too") {
  struct Row {
    std::size_t heads;
    std::size_t lanes;
  };
  std::mt19937_64 random(6);
  for (const Row& row : {Row{1, 64},
                         {1, 72},
                         {1, 576},
                         {1, 1024},
                         {12, 128},
                         {24, 128},
                         {40, 128},
                         {48, 128},
                         {64, 128},
                         {7, 96},
                         {255, 64}}) {
    for (const NormKind kind : {NormKind::rms, NormKind::layer, NormKind::l2}) {
      double worst = 0;
      double worst_sum = 0;
      double worst_mean = 0;
      for (const double middle : {0.0, 0.5, 30.0, 1000.0}) {
        for (const double deviation : {1.0, 0.01, 1e-5}) {
          NormRule rule = rule_of(1e-6);
          rule.norm.kind = kind;
          rule.norm.span = row.heads == 1 ? NormSpan::head : NormSpan::token;
          const std::vector<Numbers> heads = random_heads(random, row.heads, row.lanes, middle, deviation);
          const StatisticValue wanted = statistic_of_heads(rule, heads);
          const Computed got = computed_of(rule.norm, heads);
          worst = std::max(worst, ratio(got.r, wanted.r));
          worst_sum = std::max(worst_sum, ratio(got.sum, wanted.sum));
          if (kind == NormKind::layer) worst_mean = std::max(worst_mean, ratio(got.mean, wanted.mean));
        }
      }
      CAPTURE(row.heads, row.lanes, static_cast<int>(kind));
      CHECK(worst <= 1);
      CHECK(worst > 0.01);
      CHECK(worst_sum <= 1);
      CHECK(worst_mean <= 1);
      if (kind == NormKind::layer) CHECK(worst_mean > 0.002);
    }
  }
}

TEST_CASE("Lanes that are known within errors move r by no more than it allows") {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> within(-1, 1);
  for (const NormKind kind : {NormKind::rms, NormKind::layer, NormKind::l2}) {
    for (const double error : {1e-5, 1e-3, 0.05}) {
      for (const double deviation : {1.0, 1e-3, 1e-6}) {
        NormRule rule = rule_of(1e-6);
        rule.norm.kind = kind;
        const Numbers lanes = random_heads(random, 1, 16, 0.25, deviation).front();
        std::vector<LaneValue> uncertain = known(lanes);
        for (LaneValue& lane : uncertain) lane.error = error;
        const StatisticValue wanted = internal::statistic_of(rule, {&uncertain, 1});
        double worst = 0;
        for (int i = 0; i < 200; ++i) {
          Numbers moved = lanes;
          // All one way, or the signs of the lanes, or anything.
          const double way = within(random) < 0 ? -1 : 1;
          for (double& lane : moved) {
            const double sign = i % 3 == 0 ? way : i % 3 == 1 ? way * (lane < 0.25 ? -1 : 1) : within(random);
            lane += error * sign;
          }
          const StatisticValue there = test::statistic_of(rule, moved);
          worst = std::max(worst, std::fabs(there.r.value - wanted.r.value) / wanted.r.error);
          CHECK(std::fabs(there.sum.value - wanted.sum.value) <= wanted.sum.error);
          CHECK(std::fabs(there.mean.value - wanted.mean.value) <= wanted.mean.error);
        }
        CAPTURE(static_cast<int>(kind), error, deviation);
        CHECK(worst <= 1);
        CHECK(worst > 0.05);
      }
    }
  }
}

TEST_CASE("A sum that is given makes r of as many lanes as it is of, and r that is given is itself") {
  NormRule rule = rule_of(1e-18, DType::bf16);
  rule.norm.statistic = Statistic::given_sum;
  const StatisticValue of_sum = given_statistic(rule, 800, 32);
  CHECK(std::fabs(of_sum.r.value - 0.2) < 1e-15);
  CHECK(of_sum.r.error > 0.2 * 1.5 * 0x1p-24);
  CHECK(of_sum.r.error < 0.2 * 0x1p-22);
  CHECK(std::isnan(given_statistic(rule, kNaN, 32).r.value));
  CHECK(given_statistic(rule, kInfinity, 32).r.value == 0);
  rule.norm.eps = 0.25;
  CHECK(given_statistic(rule, 0, 32).r.value == 2);
  rule.norm.statistic = Statistic::given;
  CHECK(given_statistic(rule, 0.3F, 32).r.value == static_cast<double>(0.3F));
  CHECK(given_statistic(rule, 0.3F, 32).r.error == 0);
  rule.round_after.statistic = true;
  CHECK(given_statistic(rule, 0.3F, 32).r.value == decode(DType::bf16, encode(DType::bf16, 0.3)));
}

TEST_CASE("With r known, every lane is known to the bit") {
  NormRule rule = rule_of(1e-6, DType::bf16, {.norm = true, .weight = true, .norm_bias = true});
  rule.norm.statistic = Statistic::given;
  rule.norm.bias = rule.norm.plus_one = true;
  std::mt19937_64 random(8);
  std::normal_distribution<float> normal;
  const auto at = [](float value) { return rounded(DType::bf16, value); };
  for (int i = 0; i < 100; ++i) {
    const float x = at(normal(random));
    const float r = normal(random);
    const float w = normal(random);
    const float b = normal(random);
    const std::vector<LaneValue> made = normed_lanes(rule, given_statistic(rule, double{r}, 1), known({double{x}}),
                                                     Numbers{double{w}}, Numbers{double{b}});
    const volatile float product = x * r;
    const volatile float factor = 1 + w;
    const volatile float weighted = at(product) * factor;
    CHECK(made.front().value == static_cast<double>(at(at(weighted) + b)));
    CHECK(made.front().error == 0);
  }
}

TEST_CASE("r is rounded to the dtype where that is a rounding point") {
  const NormRule exact = rule_of(1e-20, DType::bf16);
  NormRule rule = exact;
  rule.round_after.statistic = true;
  const Numbers lanes{1, 7};
  CHECK(test::statistic_of(rule, lanes).r.error > test::statistic_of(exact, lanes).r.error + 0x1p-12);
  CHECK(test::statistic_of(rule, lanes).r.error < test::statistic_of(exact, lanes).r.error + 0x1.01p-11);
  rule.dtype = DType::fp32;
  CHECK(test::statistic_of(rule, lanes).r.error == test::statistic_of(exact, lanes).r.error);
}

TEST_CASE("Sums of squares beyond fp32 are infinite, and near its end either answer is right") {
  const double end = std::sqrt(overflow_threshold(DType::fp32));
  CHECK(test::statistic_of(rule_of(), Numbers{end * 1.01, 0}).sum.value == kInfinity);
  CHECK(std::isinf(test::statistic_of(rule_of(), Numbers{end, 0}).sum.error));
  CHECK(std::isnan(test::statistic_of(rule_of(), Numbers{kNaN, 0}).sum.value));
  NormRule layer = rule_of();
  layer.norm.kind = NormKind::layer;
  for (const LaneValue& lane : normed(layer, {kInfinity, 1}, {1, 1})) CHECK(std::isnan(lane.value));
}
