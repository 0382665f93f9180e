// Tokens through all stages of an operand: what floats make of them is within the oracle's bounds, and what leaves a
// stage out, or takes it elsewhere, is not.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "support/catch.hpp"
#include "support/norm_rules.hpp"
#include "verify/oracle.hpp"
#include "verify/stage_rule.hpp"

using namespace ropejit;
using namespace ropejit::internal;
using test::Numbers;
using test::rounded;
using test::tree_sum;

namespace {

constexpr std::int64_t kHeads = 3;
constexpr std::int64_t kDim = 24;
constexpr std::int64_t kFirst = 4;  // of the lanes that rotate
constexpr std::int64_t kRotary = 16;
constexpr std::int64_t kPosition = 12345;

using Head = std::vector<float>;

/// A token's heads, and what a launch brings for them. All numbers are of 16 bits, which floats and doubles hold.
struct Token {
  explicit Token(DType dtype, std::uint64_t seed) : random(seed) {
    heads.resize(kHeads);
    for (Head& head : heads) {
      for (std::int64_t i = 0; i < kDim; ++i) head.push_back(number(dtype, 0.25, 1));
    }
    for (std::int64_t i = 0; i < kHeads * kDim; ++i) {
      weights.push_back(number(DType::bf16, 1, 0.25));
      norm_biases.push_back(number(DType::bf16, 0, 0.5));
      biases.push_back(number(dtype, 0, 0.5));
    }
    for (std::int64_t h = 0; h < kHeads; ++h) head_scales.push_back(number(DType::bf16, 1.5, 0.25));
  }
  float number(DType dtype, double middle, double deviation) {
    return rounded(dtype, static_cast<float>(std::normal_distribution<double>(middle, deviation)(random)));
  }

  std::mt19937_64 random;
  std::vector<Head> heads;
  Numbers weights, norm_biases, biases, head_scales;
};

/// A spec with one operand, and what floats make of a token: the words of spec.hpp, one after the other.
struct Floats {
  RopeSpec spec;
  Token token;

  const Operand& operand() const { return spec.q; }
  bool is_narrow() const { return spec.dtype != DType::fp32; }
  float point(bool is_rounded, float x) const { return is_rounded && is_narrow() ? rounded(spec.dtype, x) : x; }

  std::size_t first() const { return static_cast<std::size_t>(operand().norm->first_lane); }
  std::size_t end() const {
    const std::int64_t lanes = operand().norm->lanes;
    return lanes == 0 ? kDim : first() + static_cast<std::size_t>(lanes);
  }

  void norm(std::vector<Head>& heads) const {
    const Norm& norm = *operand().norm;
    const std::vector<Head> before = heads;
    const auto over = [&](std::size_t from, std::size_t to, const auto& of_lane) {
      Head terms;
      for (std::size_t h = from; h < to; ++h) {
        for (std::size_t i = first(); i < end(); ++i) terms.push_back(of_lane(before[h][i]));
      }
      return tree_sum(terms);
    };
    const bool by_token = norm.span == NormSpan::token;
    for (std::size_t h = 0; h < heads.size(); ++h) {
      const std::size_t from = by_token ? 0 : h;
      const std::size_t to = by_token ? heads.size() : h + 1;
      const auto count = static_cast<float>((to - from) * (end() - first()));
      const float mean = norm.kind == NormKind::layer ? over(from, to, [](float x) { return x; }) * (1 / count) : 0.0F;
      const float sum = over(from, to, [&](float x) { return (x - mean) * (x - mean); });
      const auto eps = static_cast<float>(norm.eps);
      const float square = norm.kind == NormKind::l2 ? std::max(sum, eps * eps) : sum * (1 / count) + eps;
      const float r = point(spec.round_after.statistic, 1 / std::sqrt(square));
      for (std::size_t i = first(); i < end(); ++i) {
        const std::size_t at = norm.weight == NormWeight::heads ? h * kDim + i : i;
        float x = point(spec.round_after.norm, (before[h][i] - mean) * r);
        if (norm.weight != NormWeight::none) {
          const auto weight = static_cast<float>(token.weights[at]);
          x = point(spec.round_after.weight, x * (norm.plus_one ? 1 + weight : weight));
        }
        if (norm.bias) x = point(spec.round_after.norm_bias, x + static_cast<float>(token.norm_biases[at]));
        heads[h][i] = x;
      }
    }
  }

  void rotate(std::vector<Head>& heads, const Angles& angles, bool is_last) const {
    for (Head& head : heads) {
      for (std::size_t i = 0; i < kRotary / 2; ++i) {
        float& a = head[kFirst + i];
        float& b = head[kFirst + kRotary / 2 + i];
        const auto c = static_cast<float>(angles.cos[i]);
        const auto s = static_cast<float>(angles.sin[i]);
        const float turned_a = std::fma(a, c, -(b * s));
        const float turned_b = std::fma(b, c, a * s);
        a = point(spec.round_after.rotation && !is_last, turned_a);
        b = point(spec.round_after.rotation && !is_last, turned_b);
      }
    }
  }

  std::vector<Head> made(const std::vector<StageName>& stages, const Angles& angles) const {
    std::vector<Head> heads = token.heads;
    for (const StageName stage : stages) {
      if (stage == StageName::norm) norm(heads);
      if (stage == StageName::rotate) rotate(heads, angles, stage == stages.back());
      for (std::size_t h = 0; h < heads.size(); ++h) {
        for (std::size_t i = 0; i < kDim; ++i) one(stage, h, i, heads[h][i]);
      }
    }
    const DType out = operand().dtype_out.value_or(spec.dtype);
    for (Head& head : heads) {
      for (float& x : head) x = rounded(out, x);
    }
    return heads;
  }

  void one(StageName stage, std::size_t h, std::size_t i, float& x) const {
    switch (stage) {
      case StageName::bias: x = point(spec.round_after.bias, x + static_cast<float>(token.biases[h * kDim + i])); break;
      case StageName::clamp: {
        const auto limit = static_cast<float>(*operand().clamp);
        x = std::clamp(x, -limit, limit);
        break;
      }
      case StageName::scale: x = point(spec.round_after.scale, x * static_cast<float>(*operand().scale)); break;
      case StageName::head_scale:
        x = point(spec.round_after.scale, x * static_cast<float>(token.head_scales[h]));
        break;
      case StageName::temperature: {
        const Temperature& t = *operand().temperature;
        const auto place = static_cast<float>(kPosition + t.offset);
        const float g =
            t.steps ? 1 + std::floor(place / static_cast<float>(t.length)) : place / static_cast<float>(t.length);
        const float tau = 1 + static_cast<float>(t.coefficient) * std::log(std::max(1.0F, g));
        x *= point(spec.round_after.tau, tau);
        break;
      }
      case StageName::norm:
      case StageName::rotate: break;
    }
  }

  RowData data(const Oracle& oracle, const Angles& angles, const std::vector<HeadRow>& rows) const {
    RowData brought{.weights = token.weights,
                    .norm_biases = token.norm_biases,
                    .biases = token.biases,
                    .head_scales = token.head_scales,
                    .position = kPosition};
    const std::optional<Norm>& norm = operand().norm;
    if (norm && norm->weight == NormWeight::lanes) brought.weights = brought.weights.first(kDim);
    if (norm && norm->span == NormSpan::token) brought.of_token = oracle.statistic(angles, operand(), rows, brought);
    return brought;
  }

  /// What the oracle says of a token that came out as `heads`.
  Comparison judged(const std::vector<Head>& heads) const {
    const Oracle oracle(spec);
    const Angles angles = oracle.angles(kPosition);
    const auto elements = [](DType dtype, const Head& head) {
      std::vector<unsigned char> bytes(kDim * element_bytes(dtype));
      for (std::int64_t i = 0; i < kDim; ++i) {
        store_bits(dtype, bytes.data(), i, encode(dtype, double{head[static_cast<std::size_t>(i)]}));
      }
      return bytes;
    };
    std::vector<std::vector<unsigned char>> before;
    std::vector<HeadRow> rows;
    for (const Head& head : token.heads) before.push_back(elements(spec.dtype, head));
    for (const std::vector<unsigned char>& head : before) rows.push_back({head.data(), 1});
    RowData brought = data(oracle, angles, rows);
    Comparison result;
    for (std::int64_t h = 0; h < kHeads; ++h) {
      const auto at = static_cast<std::size_t>(h);
      const std::vector<unsigned char> after = elements(operand().dtype_out.value_or(spec.dtype), heads[at]);
      brought.head = h;
      oracle.check(angles, operand(), rows[at], {after.data(), 1}, {0, 0, h, 0}, result, brought);
    }
    return result;
  }

  std::vector<StageName> stages() const { return stages_in_order(operand(), operand().rotates != false); }
  std::vector<Head> made(const std::vector<StageName>& stages) const {
    return made(stages, Oracle(spec).angles(kPosition));
  }
};

template <class T, std::size_t n>
T pick(std::mt19937_64& random, const T (&choices)[n]) {
  return choices[random() % n];
}

Floats random_floats(std::uint64_t seed) {
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  std::mt19937_64 random(seed);
  const auto one_in = [&](std::uint64_t n) { return random() % n == 0; };
  RopeSpec spec;
  spec.dtype = pick(random, kTypes);
  spec.rotary_dim = kRotary;
  Operand& q = spec.q;
  q = {kHeads, kDim, kFirst};
  if (one_in(3)) q.dtype_out = pick(random, kTypes);
  if (one_in(4)) {
    q.rotates = false;
    q.first_lane = 0;
  }
  if (!one_in(4)) {
    Norm norm;
    norm.kind = pick(random, {NormKind::rms, NormKind::layer, NormKind::l2});
    norm.span = pick(random, {NormSpan::head, NormSpan::token});
    norm.weight = pick(random, {NormWeight::lanes, NormWeight::heads, NormWeight::none});
    norm.plus_one = norm.weight != NormWeight::none && one_in(3);
    norm.bias = norm.weight != NormWeight::none && one_in(2);
    if (one_in(3)) norm.first_lane = 4;
    if (one_in(3)) norm.lanes = 16;
    q.norm = norm;
  }
  q.bias = one_in(2);
  if (one_in(2)) q.clamp = 1.5;
  if (one_in(3)) q.scale = -0.3;
  q.head_scales = one_in(3);
  if (one_in(3)) q.temperature = Temperature{0.1, 100, one_in(2), one_in(2) ? 1 : 0};
  RoundAfter& after = spec.round_after;
  for (bool* const point : {&after.norm, &after.weight, &after.bias, &after.statistic, &after.norm_bias, &after.scale,
                            &after.rotation, &after.tau}) {
    *point = one_in(3);
  }
  if (one_in(2)) {
    q.order = stages_in_order(q, q.rotates != false);
    std::shuffle(q.order.begin(), q.order.end(), random);
  }
  return {spec, Token(spec.dtype, seed)};
}

}  // namespace

TEST_CASE("What floats make of a token in the order of its stages is within the bounds, whatever the stages") {
  std::int64_t known = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const Floats floats = random_floats(seed);
    const Comparison result = floats.judged(floats.made(floats.stages()));
    INFO("seed " << seed << ": " << result.to_string());
    CHECK(result.passed());
    CHECK(result.count() == kHeads * kDim);
    if (result.worst_error() == 0) ++known;
  }
  CHECK(known > 10);
  CHECK(known < 300);
}

TEST_CASE("A token that misses a stage, or has two of them the other way round, is wrong") {
  std::int64_t missed = 0;
  std::int64_t swapped = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Floats floats = random_floats(seed);
    const std::vector<StageName> stages = floats.stages();
    for (std::size_t i = 0; i < stages.size(); ++i) {
      // What is held may have been within, and a norm takes out what its lanes were multiplied by.
      const bool multiplies = stages[i] == StageName::head_scale || stages[i] == StageName::temperature;
      if (stages[i] == StageName::clamp || (multiplies && floats.operand().norm)) continue;
      std::vector<StageName> fewer = stages;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      INFO("seed " << seed << " without stage " << i);
      CHECK_FALSE(floats.judged(floats.made(fewer)).passed());
      ++missed;
    }
    for (std::size_t i = 1; i < stages.size(); ++i) {
      const auto is = [&](StageName a, StageName b) {
        return (stages[i - 1] == a && stages[i] == b) || (stages[i - 1] == b && stages[i] == a);
      };
      if (!is(StageName::bias, StageName::rotate) && !is(StageName::bias, StageName::scale) &&
          !is(StageName::bias, StageName::norm)) {
        continue;
      }
      std::vector<StageName> other = stages;
      std::swap(other[i - 1], other[i]);
      INFO("seed " << seed << " with stages " << i - 1 << " and " << i << " swapped");
      CHECK_FALSE(floats.judged(floats.made(other)).passed());
      ++swapped;
    }
  }
  CHECK(missed > 300);
  CHECK(swapped > 30);
}

TEST_CASE("A norm of what was rotated has the rotation's bound in its own, and is still a narrow one") {
  Floats floats{{}, Token(DType::fp32, 3)};
  floats.spec.dtype = DType::fp32;
  floats.spec.rotary_dim = kRotary;
  floats.spec.q = {kHeads, kDim, kFirst};
  floats.spec.q.norm = Norm{};
  floats.spec.q.order = {StageName::rotate, StageName::norm};
  std::vector<Head> heads = floats.made(floats.stages());
  const auto lane_of = [&](float factor) {
    std::vector<Head> changed = heads;
    changed[1][kFirst + 1] *= factor;
    return floats.judged(changed).failures();
  };
  CHECK(lane_of(1) == 0);
  CHECK(lane_of(1 + 0x1p-15F) == 1);
}

TEST_CASE("Statistics need as many heads as they are of, and a token's norm needs them") {
  Floats floats = random_floats(0);
  Operand operand{kHeads, kDim, kFirst};
  operand.norm = Norm{};
  operand.norm->span = NormSpan::token;
  const Oracle oracle(floats.spec);
  const std::vector<float> lanes(kDim * 2, 1);
  const HeadRow row{lanes.data(), 1};
  const std::vector<HeadRow> two(2, row);
  const std::vector<HeadRow> three(3, row);
  CHECK_THROWS_AS(oracle.statistic({}, operand, two), std::invalid_argument);
  CHECK_NOTHROW(oracle.statistic({}, operand, three));
  const Numbers weights(kDim, 1);
  Comparison result;
  CHECK_THROWS_AS(oracle.check_copy(operand, row, row, {}, result, {.weights = weights}), std::invalid_argument);
}

TEST_CASE("Padding is kept as it was by every stage, and zero in all lanes that any stage would change") {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 2;
  const std::vector<float> before = {1, 2, 3, 4};
  const std::vector<float> zeros(4, 0);
  const std::vector<float> half = {0, 0, 3, 4};
  const auto failures = [&](const Operand& operand, Padding padding, const std::vector<float>& after) {
    Comparison result;
    Oracle(spec).check_padding(padding, operand, {before.data(), 1}, {after.data(), 1}, {}, result);
    return result.failures();
  };
  std::vector<Operand> operands(6, Operand{1, 4, 0});
  operands[1].bias = true;
  operands[2].clamp = 1;
  operands[3].scale = 1;
  operands[4].head_scales = true;
  operands[5].temperature = Temperature{};
  for (std::size_t i = 0; i < operands.size(); ++i) {
    CAPTURE(i);
    CHECK(failures(operands[i], Padding::keep, before) == 0);
    CHECK(failures(operands[i], Padding::keep, half) == 2);
    CHECK(failures(operands[i], Padding::zero, i == 0 ? half : zeros) == 0);
    CHECK(failures(operands[i], Padding::zero, i == 0 ? zeros : half) == 2);
  }
}
