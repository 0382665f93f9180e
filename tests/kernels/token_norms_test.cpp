// Norms over all heads of a token: as wide as models have them, and shared by ranks that have some of the heads each.
#include <bit>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"
#include "support/direct_launch.hpp"
#include "support/stage_inputs.hpp"

namespace {

using namespace ropejit;
using test::Bits;
using test::DirectCase;
using test::DirectResult;
using test::NumericCase;

struct Shape {
  std::int64_t heads;
  std::int64_t head_dim;
  std::int64_t rotary_dim;
  DType dtype;
};

RopeSpec token_spec(const Shape& shape, NormKind kind = NormKind::rms) {
  RopeSpec spec;
  spec.dtype = shape.dtype;
  spec.rotary_dim = shape.rotary_dim;
  spec.q = {shape.heads, shape.head_dim, 0};
  spec.q.norm = Norm{};
  spec.q.norm->kind = kind;
  spec.q.norm->span = NormSpan::token;
  spec.q.norm->weight = NormWeight::heads;
  return spec;
}

Bits part(const Bits& bits, std::int64_t rows, std::int64_t row, std::int64_t first, std::int64_t count) {
  Bits result;
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto begin = bits.begin() + i * row + first;
    result.insert(result.end(), begin, begin + count);
  }
  return result;
}

/// The rank's heads of a launch of all of them.
DirectCase rank_of(const DirectCase& all, std::int64_t first_head, std::int64_t heads) {
  const Operand& q = all.spec.q;
  DirectCase rank = all;
  rank.spec.q.heads = heads;
  const std::int64_t first = first_head * q.head_dim;
  rank.q = part(all.q, all.tokens(), q.heads * q.head_dim, first, heads * q.head_dim);
  rank.q_weight = part(all.q_weight, 1, q.heads * q.head_dim, first, heads * q.head_dim);
  return rank;
}

DirectResult launch(const test::TargetPtr& target, const DirectCase& given, bool universal = false) {
  return test::launch_direct(test::prepare_quickly(target, internal::lower(given.spec, given.form), universal), given);
}

/// The sums of squares that a rank hands out, without anything else.
Bits sums_of(const test::TargetPtr& target, DirectCase rank) {
  rank.form.norm_statistics = rank.form.norm_sums = rank.form.statistics_only = true;
  const DirectResult result = launch(target, rank);
  CHECK(result.q == rank.q);
  return result.q_r;
}

Bits added(const Bits& a, const Bits& b) {
  Bits sums;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const volatile float sum = std::bit_cast<float>(a[i]) + std::bit_cast<float>(b[i]);
    sums.push_back(std::bit_cast<std::uint32_t>(static_cast<float>(sum)));
  }
  return sums;
}

}  // namespace

TEST_CASE("A norm over the token is within its bounds for 12, 24 and 40 heads and for 6,144 and 8,192 lanes",
          "[numeric]") {
  const Shape shapes[] = {{12, 128, 128, DType::bf16}, {24, 128, 128, DType::fp16}, {40, 128, 128, DType::bf16},
                          {48, 128, 64, DType::bf16},  {64, 128, 128, DType::bf16}, {32, 64, 64, DType::fp32},
                          {7, 96, 96, DType::bf16},    {1, 64, 64, DType::bf16}};
  for (const test::TargetPtr& target : test::targets()) {
    int number = 0;
    for (const Shape& shape : shapes) {
      const NormKind kind = number % 3 == 1 ? NormKind::layer : number % 3 == 2 ? NormKind::l2 : NormKind::rms;
      NumericCase given;
      given.spec = token_spec(shape, kind);
      if (number % 2 == 0) given.spec.q.norm->weight = NormWeight::lanes;
      given.spec.q.norm->bias = kind == NormKind::layer;
      given.spec.k = Operand{2, 64, 0};
      given.spec.k->head_dim = shape.head_dim;
      given.spec.k->norm = given.spec.q.norm;
      given.form = number % 2 == 0 ? LaunchForm::in_place_ids() : LaunchForm::out_of_place_ids();
      given.form.norm_statistics = kind != NormKind::layer && number % 4 < 2;
      given.tokens = 3;
      given.positions = {0, 4095, 131071};
      test::check_case_quickly(target, given, 81, false);
      ++number;
    }
    // Any strides, in place.
    NumericCase given;
    given.spec = token_spec({40, 128, 128, DType::bf16});
    given.form = LaunchForm::in_place_ids().with_free_strides();
    given.in = test::Arrangement::lane_strided;
    given.tokens = 2;
    given.positions = {1, 2};
    test::check_case_quickly(target, given, 82, true);
  }
}

TEST_CASE("Two ranks with half of the heads and the sum of both their sums have the bits of one launch", "[numeric]") {
  const Shape shapes[] = {{12, 128, 128, DType::bf16},
                          {24, 128, 128, DType::bf16},
                          {40, 128, 64, DType::fp16},
                          {64, 128, 128, DType::bf16},
                          {2, 72, 72, DType::fp32}};
  for (const test::TargetPtr& target : test::targets()) {
    for (const Shape& shape : shapes) {
      DirectCase all;
      all.spec = token_spec(shape);
      all.form = LaunchForm::out_of_place_ids();
      all.positions = {0, 9, 4095};
      std::mt19937_64 random(83);
      test::fill_direct(random, all);
      const std::int64_t half = shape.heads / 2;
      std::vector<DirectCase> ranks = {rank_of(all, 0, half), rank_of(all, half, half)};
      const DirectResult together = launch(target, all);
      const Bits sums = added(sums_of(target, ranks[0]), sums_of(target, ranks[1]));
      std::int64_t first = 0;
      for (DirectCase& rank : ranks) {
        rank.spec.q.norm->statistic = Statistic::given_sum;
        rank.spec.q.norm->global_heads = shape.heads;
        rank.q_r = sums;
        INFO(target->name() << " " << rank.spec.to_string());
        const DirectResult apart = launch(target, rank);
        CHECK(apart.q == part(together.q, all.tokens(), shape.heads * shape.head_dim, first, half * shape.head_dim));
        const internal::Comparison comparison = test::compare_direct(rank, apart);
        INFO(comparison.to_string());
        CHECK(comparison.passed());
        first += half * shape.head_dim;
      }
    }
  }
}

TEST_CASE("What a norm hands out, r or a sum, gives the same lanes the same bits where it is given", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const NormSpan span : {NormSpan::head, NormSpan::token}) {
      for (const bool is_sum : {false, true}) {
        for (const bool is_rounded : {false, true}) {
          DirectCase given;
          given.spec = token_spec({6, 64, 32, DType::bf16});
          given.spec.q.norm->span = span;
          given.spec.round_after.statistic = is_rounded;
          given.form = LaunchForm::out_of_place_ids();
          given.form.norm_statistics = true;
          given.form.norm_sums = is_sum;
          given.positions = {0, 9, 4095};
          std::mt19937_64 random(84);
          test::fill_direct(random, given);
          const DirectResult first = launch(target, given);
          INFO(target->name() << " " << to_string(span) << (is_sum ? " sum" : " r"));
          CHECK(first.q_r.size() == static_cast<std::size_t>(3 * test::statistics_of(given.spec.q)));
          given.q_r = first.q_r;
          given.form.norm_statistics = given.form.norm_sums = false;
          given.spec.q.norm->statistic = is_sum ? Statistic::given_sum : Statistic::given;
          CHECK(launch(target, given).q == first.q);
          CHECK(test::compare_direct(given, first).passed());
        }
      }
    }
  }
}

TEST_CASE("Every variant and the generic kernel give a norm over the token the same bits", "[numeric]") {
  const Shape shapes[] = {{12, 64, 64, DType::bf16}, {40, 128, 128, DType::bf16}, {3, 72, 72, DType::fp32}};
  for (const test::TargetPtr& target : test::targets()) {
    for (const Shape& shape : shapes) {
      for (const NormKind kind : {NormKind::rms, NormKind::layer}) {
        DirectCase given;
        given.spec = token_spec(shape, kind);
        given.form = LaunchForm::in_place_ids();
        given.positions = {0, 9, 4095, 77, 1};
        std::mt19937_64 random(85);
        test::fill_direct(random, given);
        const internal::RotationPlan plan = internal::lower(given.spec, given.form);
        const std::vector<internal::Variant> space = internal::variant_space(plan.kernel_class, true);
        REQUIRE(!space.empty());
        std::vector<internal::PreparedVariant> variants = test::prepare_variants(
            target, plan,
            {internal::universal_variant(plan.kernel_class), space[0], space[space.size() / 2], space.back()});
        const auto generic = internal::generic_variant(*target, plan);
        REQUIRE(generic);
        variants.push_back(*generic);
        std::optional<DirectResult> bits;
        for (const internal::PreparedVariant& variant : variants) {
          INFO(target->name() << " " << plan.kernel_class.text() << " " << to_string(variant.variant));
          const DirectResult result = test::launch_direct(test::kernel_of(target, plan, variant, variant), given);
          if (!bits) bits = result;
          CHECK(result == *bits);
          CHECK(test::compare_direct(given, result).passed());
        }
      }
    }
  }
}
