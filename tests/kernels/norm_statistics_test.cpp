// The statistics of norms: handed out as they are computed, and taken as they are given.
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"
#include "support/direct_launch.hpp"
#include "support/norm_reference.hpp"
#include "support/random_spec.hpp"
#include "tune/validation.hpp"

namespace {

using namespace ropejit;
using test::Bits;
using test::DirectCase;
using test::DirectResult;
using test::NumericCase;
using test::StatisticRows;

constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
constexpr StatisticRows kRows[] = {StatisticRows::contiguous, StatisticRows::padded, StatisticRows::heads_outside,
                                   StatisticRows::backwards, StatisticRows::shared_by_heads};

std::vector<Operand*> operands_of(RopeSpec& spec) {
  std::vector<Operand*> operands = {&spec.q};
  if (spec.k) operands.push_back(&*spec.k);
  if (spec.v) operands.push_back(&*spec.v);
  return operands;
}

/// Every norm computes its statistic, or is given it.
void set_all(RopeSpec& spec, Statistic statistic) {
  for (Operand* const operand : operands_of(spec)) {
    if (operand->norm) operand->norm->statistic = statistic;
  }
}

bool has_norm(RopeSpec spec) {
  for (const Operand* const operand : operands_of(spec)) {
    if (operand->norm) return true;
  }
  return false;
}

internal::PreparedKernel kernel_of(const test::TargetPtr& target, const internal::RotationPlan& plan,
                                   const internal::PreparedVariant& variant) {
  return test::kernel_of(target, plan, variant, variant);
}

/// The universal entry, `count` fast variants that are far apart, and the generic kernel.
std::vector<internal::PreparedVariant> some_kernels(const test::TargetPtr& target, const internal::RotationPlan& plan,
                                                    std::size_t first, std::size_t count) {
  const internal::KernelClass& kernel_class = plan.kernel_class;
  std::vector<internal::Variant> chosen = {internal::universal_variant(kernel_class)};
  const std::vector<internal::Variant> space = internal::variant_space(kernel_class, true);
  for (std::size_t i = 0; i < count; ++i) {
    chosen.push_back(space[(first * 7 + i * space.size() / count) % space.size()]);
  }
  std::vector<internal::PreparedVariant> kernels = test::prepare_variants(target, plan, chosen);
  const auto generic = internal::generic_variant(*target, plan);
  REQUIRE(generic);
  kernels.push_back(*generic);
  return kernels;
}

/// q, k and v with a norm each, whose lanes rotate all, in part and not at all.
RopeSpec normed_spec(DType dtype, std::int64_t dim) {
  RopeSpec spec;
  spec.dtype = dtype;
  spec.rotary_dim = dim;
  spec.q = {5, dim, 0};
  spec.k = Operand{2, 2 * dim, dim};
  spec.v = Operand{3, dim, 0};
  spec.q.norm = Norm{};
  spec.k->norm = Norm{1e-5, DType::fp32};
  spec.v->norm = Norm{1e-3};
  return spec;
}

/// Eight tokens in two sequences; k and v go to slots of two pages, or to rows.
NumericCase small_case(Statistic statistic, CacheRows kind = CacheRows::none) {
  NumericCase given;
  given.spec = normed_spec(DType::bf16, 32);
  set_all(given.spec, statistic);
  given.form = LaunchForm::in_place_ids();
  given.form.norm_statistics = statistic == Statistic::computed;
  given.batch = 2;
  given.tokens = 4;
  given.positions = {5, 6, 1000, 7, 131071, 0, 9, 3};
  given.statistic_rows = StatisticRows::padded;
  if (kind == CacheRows::none) return given;
  given.form.k_rows = given.form.v_rows = kind;
  given.k_cache_rows = given.v_cache_rows = 16;
  if (kind == CacheRows::slots32 || kind == CacheRows::slots64) given.k_block_size = given.v_block_size = 8;
  given.k_rows = given.v_rows = {15, 0, 7, 8, 3, 12, 1, 9};
  return given;
}

/// A random case whose norms hand out what they compute.
NumericCase handing_case(std::mt19937_64& random) {
  NumericCase drawn = test::random_case(random);
  while (!has_norm(drawn.spec)) drawn = test::random_case(random);
  set_all(drawn.spec, Statistic::computed);
  drawn.form.norm_statistics = true;
  drawn.poison_unread = false;  // what is handed out of such tokens is compared as well
  return drawn;
}

/// The same case with what was handed out given; `some`: q's norm goes on computing its own, where another has one.
NumericCase taking_case(const NumericCase& handing, const test::NumericResult& handed_out, bool some) {
  NumericCase given = handing;
  given.form.norm_statistics = false;
  given.statistics = handed_out.statistics;
  set_all(given.spec, Statistic::given);
  if (some && given.spec.q.norm && given.spec.k && given.spec.k->norm) {
    given.spec.q.norm->statistic = Statistic::computed;
    given.form.norm_statistics = true;
  }
  return given;
}

}  // namespace

TEST_CASE("With the statistics that one launch handed out another has its bits, in every random spec and form",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(881);
    const auto generic = [&](const NumericCase& given) {
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const auto variant = internal::generic_variant(*target, plan);
      REQUIRE(variant);
      return kernel_of(target, plan, *variant);
    };
    for (int i = 0; i < 5 * test::random_cases(12); ++i) {
      const NumericCase computed = handing_case(random);
      const std::uint64_t values = random();
      INFO(target->name() << " case " << i << ": " << computed.to_string());
      const test::NumericResult wanted = test::run_case(generic(computed), computed, values);
      const NumericCase given = taking_case(computed, wanted, i % 3 == 0);
      INFO(wanted.to_string() << "; given: " << given.to_string());
      REQUIRE(wanted.passed());
      const test::NumericResult result = test::run_case(generic(given), given, values);
      INFO(result.to_string());
      REQUIRE(result.passed());
      CHECK(result.out_bytes == wanted.out_bytes);
    }
  }
}

TEST_CASE("With the statistics that one kernel handed out any other has its bits, and handing out changes nothing else",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(882);
    for (int i = 0; i < test::random_cases(5); ++i) {
      NumericCase computed = handing_case(random);
      // Every binary must be able to serve the launch.
      computed.in = computed.out = test::Arrangement::bshd;
      computed.table_misaligned = computed.weights_misaligned = false;
      if (computed.pages == test::Pages::misaligned) computed.pages = test::Pages::nhd;
      const std::uint64_t values = random();
      INFO(target->name() << " case " << i << ": " << computed.to_string());
      const internal::RotationPlan handing = internal::lower(computed.spec, computed.form);
      const test::NumericResult wanted =
          test::run_case(test::prepare_one(target, handing, i % 2 == 0), computed, values);
      INFO(wanted.to_string());
      REQUIRE(wanted.passed());
      NumericCase without = computed;
      without.form.norm_statistics = false;
      const internal::RotationPlan usual = internal::lower(without.spec, without.form);
      CHECK(test::run_case(test::prepare_one(target, usual, i % 2 == 1), without, values).out_bytes ==
            wanted.out_bytes);
      const NumericCase given = taking_case(computed, wanted, i % 3 == 0);
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      for (const internal::PreparedVariant& variant : some_kernels(target, plan, static_cast<std::size_t>(i), 1)) {
        INFO(to_string(variant.variant) << " of " << given.to_string());
        const test::NumericResult result = test::run_case(kernel_of(target, plan, variant), given, values);
        INFO(result.to_string());
        CHECK(result.passed());
        CHECK(result.out_bytes == wanted.out_bytes);
        if (given.form.norm_statistics) CHECK(result.statistics[0] == wanted.statistics[0]);
      }
    }
  }
}

TEST_CASE("Every kernel hands out the documented tree's reciprocal, of every head size and type", "[numeric]") {
  const std::vector<std::int64_t> positions = {0, 1, 4095, 131071, 77};
  for (const test::TargetPtr& target : test::targets()) {
    std::size_t number = 0;
    for (const std::int64_t dim : {8, 36, 48, 64, 96, 128, 256}) {
      const DType dtype = kTypes[number % 3];
      DirectCase given;
      given.spec = normed_spec(dtype, dim);
      if (number / 2 % 3 == 1) given.spec.layout = Layout::interleaved;
      if (number / 2 % 3 == 2) given.spec.layout_out = Layout::interleaved;
      given.form = number % 2 == 0 ? LaunchForm::in_place_ids() : LaunchForm::out_of_place_ids();
      given.form.norm_statistics = true;
      given.positions = positions;
      std::mt19937_64 random(number);
      test::fill_direct(random, given);
      const auto reference = [&](const Operand& operand, const Bits& in) {
        std::vector<double> all;
        const auto lanes = static_cast<std::ptrdiff_t>(operand.head_dim);
        for (auto at = in.begin(); at != in.end(); at += lanes) {
          all.push_back(
              double{test::reference_reciprocal(test::decoded(dtype, Bits(at, at + lanes)), operand.norm->eps)});
        }
        return test::encoded(DType::fp32, all);
      };
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      INFO(target->name() << " " << plan.kernel_class.text());
      std::optional<DirectResult> bits;
      for (const internal::PreparedVariant& variant : some_kernels(target, plan, number, 2)) {
        INFO(to_string(variant.variant));
        const DirectResult result = test::launch_direct(kernel_of(target, plan, variant), given);
        CHECK(result.q_r == reference(given.spec.q, given.q));
        CHECK(result.k_r == reference(*given.spec.k, given.k));
        CHECK(result.v_r == reference(*given.spec.v, given.v));
        if (!bits) bits = result;
        CHECK(result == *bits);
      }
      ++number;
    }
  }
}

TEST_CASE("A token's statistic does not depend on how many others its launch has, given or handed out", "[numeric]") {
  std::vector<std::int64_t> positions(70);
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int64_t>(i * i * 7);
  for (const test::TargetPtr& target : test::targets()) {
    DirectCase all;
    all.spec = normed_spec(DType::bf16, 64);
    all.form = LaunchForm::out_of_place_ids();
    all.form.norm_statistics = true;
    all.positions = positions;
    std::mt19937_64 random(3);
    test::fill_direct(random, all);
    const internal::PreparedKernel computing = test::prepare(target, internal::lower(all.spec, all.form));
    const DirectResult together = test::launch_direct(computing, all);
    DirectCase given = all;
    set_all(given.spec, Statistic::given);
    given.form.norm_statistics = false;
    given.q_r = together.q_r;
    given.k_r = together.k_r;
    given.v_r = together.v_r;
    const internal::PreparedKernel taking = test::prepare(target, internal::lower(given.spec, given.form));
    for (const std::int64_t count : {1, 2, 5, 31, 70}) {
      for (const std::int64_t first : {0, 17}) {
        if (first + count > 70) continue;
        const auto part_of = [&](const Bits& bits, std::int64_t row) {
          return Bits(bits.begin() + first * row, bits.begin() + (first + count) * row);
        };
        INFO(target->name() << " " << count << " from " << first);
        const DirectResult apart = test::launch_direct(computing, all.part(first, count));
        CHECK(apart.q_r == part_of(together.q_r, 5));
        CHECK(apart.k_r == part_of(together.k_r, 2));
        const DirectResult taken = test::launch_direct(taking, given.part(first, count));
        CHECK(taken.q == part_of(together.q, 5 * 64));
        CHECK(taken.k == part_of(together.k, 2 * 128));
        CHECK(taken.v == part_of(together.v, 3 * 64));
        CHECK(taken.q_r.empty());
      }
    }
  }
}

TEST_CASE("Statistics of any numbers are taken from anywhere in memory, of tensors of any arrangement", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Statistic statistic : {Statistic::given, Statistic::computed}) {
      for (const DType dtype : {DType::fp16, DType::fp32}) {
        NumericCase given = small_case(statistic);
        given.form.strides = Strides::free;
        given.spec.dtype = dtype;
        given.spec.round_after = {dtype == DType::fp16, true};
        const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
        for (const StatisticRows rows : kRows) {
          if (statistic == Statistic::computed && rows == StatisticRows::shared_by_heads) continue;
          for (const test::Arrangement in : {test::Arrangement::bshd, test::Arrangement::packed_qkv,
                                             test::Arrangement::bhsd, test::Arrangement::lane_strided}) {
            given.in = in;
            given.out = in == test::Arrangement::packed_qkv ? test::Arrangement::padded : in;
            given.statistic_rows = rows;
            test::check_case(kernel, given, 41);
          }
        }
      }
    }
  }
}

TEST_CASE("Tokens without a place, padded ones and those beyond the count: statistics go with all of them",
          "[numeric]") {
  constexpr CacheRows kKinds[] = {CacheRows::rows32, CacheRows::rows64, CacheRows::slots32, CacheRows::slots64};
  std::size_t number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    // A kernel of each kind in turn, and the generic one.
    const auto kernels_of = [&](const NumericCase& given) {
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const auto generic = internal::generic_variant(*target, plan);
      REQUIRE(generic);
      return std::array{test::prepare_quickly(target, plan, number++ % 2 == 0), kernel_of(target, plan, *generic)};
    };
    for (const Statistic statistic : {Statistic::given, Statistic::computed}) {
      for (const CacheRows kind : kKinds) {
        const NumericCase usual = small_case(statistic, kind);
        for (const internal::PreparedKernel& kernel : kernels_of(usual)) {
          NumericCase given = usual;
          test::check_case(kernel, given, 42);
          given.k_rows = {15, -1, 7, 16, -1, 12, 1, 9};
          given.v_rows = std::vector<std::int64_t>(8, -1);
          test::check_case(kernel, given, 42);
          if (kind == CacheRows::slots64) {
            given.k_slot_count = 0;
            given.v_slot_count = 5;
            test::check_case(kernel, given, 43);
          }
          given.pass_v = false;
          test::check_case(kernel, given, 43);
          given.pass_k = false;
          test::check_case(kernel, given, 43);
        }
        NumericCase beside = usual;
        beside.form.placement = number % 4 < 2 ? Placement::in_place : Placement::out_of_place;
        beside.form.k_beside = true;
        beside.k_rows[2] = -1;
        for (const internal::PreparedKernel& kernel : kernels_of(beside)) test::check_case(kernel, beside, 44);
      }
      for (const Padding padding : {Padding::zero, Padding::keep}) {
        for (const bool relaid : {false, true}) {
          NumericCase padded = small_case(statistic, relaid ? CacheRows::slots32 : CacheRows::none);
          padded.form.padding = padding;
          padded.positions[2] = -1;
          padded.positions[5] = -(1LL << 31);
          if (relaid) padded.spec.layout_out = Layout::interleaved;
          for (const internal::PreparedKernel& kernel : kernels_of(padded)) test::check_case(kernel, padded, 45);
        }
      }
      NumericCase counted = small_case(statistic, CacheRows::slots64);
      counted.form.counted = counted.form.overlaps_previous = counted.form.ready_lists = true;
      for (const internal::PreparedKernel& kernel : kernels_of(counted)) {
        for (const std::int32_t count : {-1, 0, 3, 8, 9}) {
          counted.token_count = count;
          test::check_case(kernel, counted, 46);
        }
      }
    }
  }
}

TEST_CASE("In place a head's layout becomes any other with a statistic that is given", "[numeric]") {
  struct Row {
    Layout from;
    Layout to;
  };
  const Row rows[] = {{Layout::interleaved, Layout::split_half},
                      {Layout::split_half, Layout::interleaved},
                      {Layout::split_half, Layout::split_half},
                      {Layout::interleaved, Layout::interleaved}};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const Row& row : rows) {
      for (const std::int64_t rotary : {8, 72, 128}) {
        NumericCase given;
        given.spec.dtype = kTypes[number % 3];
        given.spec.rotary_dim = rotary;
        given.spec.q = {3, rotary + 4, 2};
        given.spec.k = Operand{1, rotary, 0};
        given.spec.q.norm = given.spec.k->norm = Norm{};
        set_all(given.spec, Statistic::given);
        given.spec.layout = row.from;
        if (row.to != row.from) given.spec.layout_out = row.to;
        given.form = LaunchForm::in_place_ids();
        given.tokens = 5;
        given.positions = {0, 3, 1000, 131071, 5};
        test::check_case_quickly(target, given, 47, number % 3 == 0);
        ++number;
      }
    }
  }
}

TEST_CASE("Statistics that are no usual numbers are taken as they are, and eps is not used", "[numeric]") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float numbers[] = {0.0F,   -0.0F, 1.0F,      -2.5F,      1e-38F,
                           1e-45F, 3e38F, kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()};
  for (const test::TargetPtr& target : test::targets()) {
    for (const DType dtype : kTypes) {
      DirectCase given;
      given.spec.dtype = dtype;
      given.spec.rotary_dim = 32;
      given.spec.q = {10, 48, 8};
      given.spec.q.norm = Norm{1e-6, std::nullopt, Statistic::given};
      given.form = LaunchForm::in_place_ids();
      given.positions = {0, 77};
      std::mt19937_64 random(5);
      test::fill_direct(random, given);
      std::vector<double> r;
      for (int token = 0; token < 2; ++token) r.insert(r.end(), std::begin(numbers), std::end(numbers));
      given.q_r = test::encoded(DType::fp32, r);
      for (const double eps : {1e-6, 1.0}) {
        given.spec.q.norm->eps = eps;
        const internal::RotationPlan plan = internal::lower(given.spec, given.form);
        CHECK(plan.constants[0].eps == 0);
        for (const bool universal : {false, true}) {
          const DirectResult result = test::launch_direct(test::prepare_quickly(target, plan, universal), given);
          const internal::Comparison comparison = test::compare_direct(given, result);
          INFO(target->name() << " " << to_string(dtype) << " " << comparison.to_string());
          CHECK(comparison.passed());
        }
      }
    }
  }
}

TEST_CASE("Heads with a NaN or an infinity hand out what their norm has of them", "[numeric]") {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const test::TargetPtr& target : test::targets()) {
    DirectCase given;
    given.spec.rotary_dim = 16;
    given.spec.q = {4, 16, 0};
    given.spec.q.norm = Norm{};
    given.form = LaunchForm::in_place_ids();
    given.form.norm_statistics = true;
    given.positions = {3};
    std::mt19937_64 random(6);
    test::fill_direct(random, given);
    given.q[3] = internal::encode(DType::bf16, kNaN);
    given.q[16 + 5] = internal::encode(DType::bf16, -kInfinity);
    given.q[32 + 15] = internal::encode(DType::bf16, 3e38);
    for (std::size_t lane = 48; lane < 64; ++lane) given.q[lane] = 0;
    for (const bool universal : {false, true}) {
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const DirectResult result = test::launch_direct(test::prepare_one(target, plan, universal), given);
      const std::vector<double> r = test::decoded(DType::fp32, result.q_r);
      REQUIRE(r.size() == 4);
      CHECK(std::isnan(r[0]));
      CHECK(r[1] == 0);
      CHECK(r[2] == 0);
      CHECK(std::fabs(r[3] - 1000) < 1e-3);
    }
  }
}

TEST_CASE("Statistics in memory count as moved, and variants are compared by what they hand out", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    NumericCase given = small_case(Statistic::computed, CacheRows::slots64);
    const internal::RotationPlan handing = internal::lower(given.spec, given.form);
    given.form.norm_statistics = false;
    const internal::RotationPlan computing = internal::lower(given.spec, given.form);
    set_all(given.spec, Statistic::given);
    const internal::RotationPlan taking = internal::lower(given.spec, given.form);
    constexpr std::uint64_t kBytes = 4 * (5 + 2 + 3);  // of a token
    const std::uint64_t usual = internal::bytes_per_token(computing.kernel_class);
    CHECK(internal::bytes_per_token(handing.kernel_class) == usual + kBytes);
    CHECK(internal::bytes_per_token(taking.kernel_class) == usual + kBytes);
    const auto recorded = [&](const internal::RotationPlan& plan, bool universal) {
      const internal::PreparedKernel made = test::prepare_one(target, plan, universal);
      return internal::kernel_of_one(plan, made.universal.variant,
                                     std::make_shared<internal::RecordedKernel>(made.universal.kernel));
    };
    for (const internal::RotationPlan& plan : {handing, taking}) {
      CHECK(internal::why_wrong(*target, recorded(plan, false), recorded(plan, true), 9).empty());
    }
    // A kernel that hands out another number is found: here one with another eps.
    internal::PreparedKernel other = recorded(handing, false);
    other.constants.eps[1] = 0.5F;
    const std::string why = internal::why_wrong(*target, other, recorded(handing, true), 9);
    CHECK(why.find("its bits are not the universal entry's") != std::string::npos);
  }
}
