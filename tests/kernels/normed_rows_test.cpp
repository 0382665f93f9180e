// Operands that are normed before they rotate: the norm's own bits, in every kernel, and heads that are no usual
// numbers.
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "codegen/generate.hpp"
#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"
#include "support/direct_launch.hpp"
#include "support/norm_reference.hpp"

namespace {

using namespace ropejit;
using test::Bits;
using test::DirectCase;
using test::DirectResult;

constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
constexpr std::int64_t kDims[] = {64, 72, 80, 96, 128, 192, 256, 512};

RopeSpec normed_spec(DType dtype, std::int64_t rotary_dim, Operand q, std::optional<Operand> k) {
  RopeSpec spec;
  spec.dtype = dtype;
  spec.rotary_dim = rotary_dim;
  spec.q = q;
  spec.k = k;
  spec.q.norm = Norm{};
  if (spec.k) spec.k->norm = Norm{1e-5};
  return spec;
}

/// One spec for each head size and type, with every other choice in turn: layouts, lanes that do not rotate on either
/// side, types of weights, roundings.
std::vector<RopeSpec> specs_of_all_sizes() {
  std::vector<RopeSpec> specs;
  int number = 0;
  for (const std::int64_t dim : kDims) {
    for (const DType dtype : kTypes) {
      const int turn = number++;
      const bool part = turn / 2 % 2 == 0;
      const std::int64_t rotary = part ? dim / 2 : dim;
      const std::int64_t first = part ? (turn % 3 == 0 ? dim / 2 : turn % 3 == 1 ? 8 : 0) : 0;
      RopeSpec spec = normed_spec(dtype, rotary, {5, dim, first}, Operand{2, dim, 0});
      spec.layout = turn % 2 == 0 ? Layout::split_half : Layout::interleaved;
      spec.q.norm->weight_dtype = kTypes[(turn / 3 + turn) % 3];
      spec.round_after = {turn % 4 < 2, turn / 2 % 4 < 2};
      spec.rounding = turn % 3 == 0 ? Rounding::exact : Rounding::p1;
      specs.push_back(spec);
    }
  }
  return specs;
}

DirectCase direct_case(const RopeSpec& spec, const LaunchForm& form, std::vector<std::int64_t> positions,
                       std::uint64_t seed) {
  DirectCase given;
  given.spec = spec;
  given.form = form;
  given.positions = std::move(positions);
  std::mt19937_64 random(seed);
  test::fill_direct(random, given);
  return given;
}

internal::PreparedKernel one_kernel(const test::TargetPtr& target, const internal::RotationPlan& plan,
                                    const internal::PreparedVariant& variant) {
  return test::kernel_of(target, plan, variant, variant);
}

/// Of the fast variants a few that are far apart, after the universal entry, which is legal everywhere.
std::vector<internal::Variant> some_variants(const internal::KernelClass& kernel_class, std::size_t first,
                                             std::size_t count) {
  std::vector<internal::Variant> chosen = {internal::universal_variant(kernel_class)};
  const std::vector<internal::Variant> space = internal::variant_space(kernel_class, true);
  for (std::size_t i = 0; i < count; ++i)
    chosen.push_back(space[(first * 7 + i * space.size() / count) % space.size()]);
  return chosen;
}

}  // namespace

TEST_CASE("Every variant and the generic kernel give a normed head the same bits, at every size and in every type",
          "[numeric]") {
  const std::vector<std::int64_t> positions = {0, 1, 4095, 131071, 77};
  for (const test::TargetPtr& target : test::targets()) {
    std::size_t number = 0;
    for (const RopeSpec& spec : specs_of_all_sizes()) {
      // A compile takes a second there: in a short run two of three have the universal entry and the generic kernel.
      const std::size_t few = target->name() != "host" ? 2 : test::short_run() && number % 3 != 0 ? 0 : 1;
      const LaunchForm form = number % 2 == 0 ? LaunchForm::in_place_ids() : LaunchForm::out_of_place_ids();
      const internal::RotationPlan plan = internal::lower(spec, form);
      const DirectCase given = direct_case(spec, form, positions, number);
      INFO(target->name() << " " << plan.kernel_class.text());
      std::optional<DirectResult> bits;
      for (const internal::PreparedVariant& variant :
           test::prepare_variants(target, plan, some_variants(plan.kernel_class, number, few))) {
        INFO(to_string(variant.variant));
        const DirectResult result = test::launch_direct(one_kernel(target, plan, variant), given);
        const internal::Comparison comparison = test::compare_direct(given, result);
        INFO(comparison.to_string());
        CHECK(comparison.passed());
        if (!bits) bits = result;
        CHECK(result == *bits);
      }
      const auto generic = internal::generic_variant(*target, plan);
      REQUIRE(generic);
      CHECK(test::launch_direct(one_kernel(target, plan, *generic), given) == *bits);
      ++number;
    }
  }
}

TEST_CASE("A token's normed bits do not depend on how many others its launch has", "[numeric]") {
  std::vector<std::int64_t> positions(150);
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int64_t>(i * i * 7);
  for (const test::TargetPtr& target : test::targets()) {
    for (const DType dtype : kTypes) {
      const RopeSpec spec = normed_spec(dtype, 64, {9, 96, 16}, Operand{2, 96, 0});
      const LaunchForm form = LaunchForm::out_of_place_ids();
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(spec, form));
      const DirectCase all = direct_case(spec, form, positions, 3);
      const DirectResult together = test::launch_direct(kernel, all);
      for (const std::int64_t count : {1, 2, 3, 5, 31}) {
        for (const std::int64_t first : {0, 17, 100}) {
          const DirectResult apart = test::launch_direct(kernel, all.part(first, count));
          const auto part_of = [&](const Bits& bits, const Operand& operand) {
            const std::int64_t row = operand.heads * operand.head_dim;
            return Bits(bits.begin() + first * row, bits.begin() + (first + count) * row);
          };
          INFO(target->name() << " " << to_string(dtype) << ", " << count << " from " << first);
          CHECK(apart.q == part_of(together.q, spec.q));
          CHECK(apart.k == part_of(together.k, *spec.k));
        }
      }
    }
  }
}

TEST_CASE("Heads that the heads of a thread do not divide are normed each by itself", "[numeric]") {
  struct Row {
    std::int64_t q_heads;
    std::int64_t k_heads;
    std::uint32_t heads_per_thread;
  };
  const Row rows[] = {{7, 2, 4}, {9, 1, 5}, {71, 7, 8}, {3, 1, 2}, {5, 5, 4}};
  for (const test::TargetPtr& target : test::targets()) {
    for (const Row& row : rows) {
      for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
        test::NumericCase given;
        given.spec = normed_spec(DType::bf16, 64, {row.q_heads, 80, 8}, Operand{row.k_heads, 64, 0});
        given.form.placement = placement;
        given.tokens = 5;
        given.positions = {0, 3, 1000, 131071, 5};
        const internal::RotationPlan plan = internal::lower(given.spec, given.form);
        const internal::Variant variant{internal::Family::flat, 4, row.heads_per_thread, 128};
        REQUIRE(internal::why_illegal(plan.kernel_class, variant).empty());
        INFO(row.q_heads << " and " << row.k_heads << " heads, " << row.heads_per_thread << " a thread");
        const internal::PreparedVariant prepared = test::prepare_variant(target, plan, variant);
        test::check_case(one_kernel(target, plan, prepared), given, 61);
      }
    }
  }
}

TEST_CASE("A norm and a rotation in one launch are the rotation of what the documented tree norms, bit for bit",
          "[numeric]") {
  std::size_t number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (RopeSpec spec : specs_of_all_sizes()) {
      ++number;
      if (number / 3 % 2 == number % 2) continue;  // half of them: each size, and each type many times
      spec.round_after = {true, true};
      spec.rounding = Rounding::p1;
      if (number % 3 == 0) spec.round_after.norm = false;
      if (number % 5 == 0) {
        spec.layout_out = spec.layout == Layout::interleaved ? Layout::split_half : Layout::interleaved;
      }
      // Out of place for both: lanes that do not rotate are written by either.
      const LaunchForm form = LaunchForm::out_of_place_ids();
      const DirectCase given = direct_case(spec, form, {0, 1, 4095, -7}, 1000 + number);
      DirectCase normed = given;
      normed.spec.q.norm.reset();
      normed.spec.k->norm.reset();
      normed.spec.round_after = {};
      normed.q = test::reference_normed(spec, spec.q, given.q, given.q_weight);
      normed.k = test::reference_normed(spec, *spec.k, given.k, given.k_weight);
      INFO(target->name() << " " << spec.to_string());
      const DirectResult ours =
          test::launch_direct(test::prepare_quickly(target, internal::lower(spec, form), false), given);
      const DirectResult apart =
          test::launch_direct(test::prepare_quickly(target, internal::lower(normed.spec, form), false), normed);
      CHECK(ours.q == apart.q);
      CHECK(ours.k == apart.k);
    }
  }
}

TEST_CASE("A normed v is what the documented tree makes of it, and k that does not rotate too", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const DType dtype : kTypes) {
      for (const std::int64_t dim : {2, 6, 40, 64, 120, 1024}) {
        RopeSpec spec;
        spec.dtype = dtype;
        spec.rotary_dim = 2;
        spec.q = {1, 2, 0};
        spec.k = Operand{3, dim, 0, std::nullopt, false, Norm{}};
        spec.v = Operand{2, dim, 0, std::nullopt, std::nullopt, Norm{1e-5, DType::fp32}};
        spec.round_after = {false, true};
        const DirectCase given = direct_case(spec, LaunchForm::out_of_place_ids(), {0, 1, 2}, 9);
        INFO(target->name() << " " << spec.to_string());
        const bool universal = dim % 3 == 0;
        const DirectResult result =
            test::launch_direct(test::prepare_quickly(target, internal::lower(spec, given.form), universal), given);
        CHECK(result.k == test::reference_normed(spec, *spec.k, given.k, given.k_weight));
        CHECK(result.v == test::reference_normed(spec, *spec.v, given.v, given.v_weight));
      }
    }
  }
}

TEST_CASE("Heads with a NaN, an infinity or squares beyond fp32 come out as they must, and spoil no other head",
          "[numeric]") {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const DType dtype : kTypes) {
      for (const std::int64_t dim : {16, 72, 128}) {
        for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
          RopeSpec spec = normed_spec(dtype, dim, {6, dim, 0}, std::nullopt);
          if (number % 2 == 0) spec.rotary_dim = dim / 2;
          if (number % 3 == 0) spec.layout = Layout::interleaved;
          LaunchForm form = LaunchForm::in_place_ids();
          form.placement = placement;
          DirectCase given = direct_case(spec, form, {0, 77, 1000}, 5);
          const auto put = [&](std::int64_t token, std::int64_t head, std::int64_t lane, double value) {
            given.q[static_cast<std::size_t>((token * 6 + head) * dim + lane)] = internal::encode(dtype, value);
          };
          for (std::int64_t token = 0; token < 3; ++token) {
            put(token, token, dim - 1, kNaN);
            put(token, token + 1, 3, token == 1 ? -kInfinity : kInfinity);
            put(token, token + 2, 5, dtype == DType::fp16 ? 65504 : 3e38);
            for (std::int64_t lane = 0; lane < dim; ++lane) put(token, token + 3, lane, lane % 2 == 0 ? 0.0 : -0.0);
          }
          INFO(target->name() << " " << spec.to_string() << " " << to_string(placement));
          const internal::PreparedKernel kernel =
              test::prepare_quickly(target, internal::lower(spec, form), number % 4 == 0);
          const DirectResult result = test::launch_direct(kernel, given);
          const internal::Comparison comparison = test::compare_direct(given, result);
          INFO(comparison.to_string());
          CHECK(comparison.passed());
          CHECK(comparison.count() == 3 * 6 * dim);
          ++number;
        }
      }
    }
  }
}

TEST_CASE("Padding is zeroed whole or kept as it was, where heads are normed", "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const Padding padding : {Padding::rotate, Padding::zero, Padding::keep}) {
      for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
        for (const DType dtype : kTypes) {
          test::NumericCase given;
          given.spec = normed_spec(dtype, 32, {6, 48, 16}, Operand{2, 40, 0});
          given.spec.round_after = {number % 2 == 0, number % 4 < 2};
          if (number % 3 == 0) given.spec.layout_out = Layout::interleaved;
          if (number % 6 == 1) given.spec.k->norm.reset();
          if (placement == Placement::out_of_place && number % 4 == 1) given.spec.q.dtype_out = DType::fp32;
          given.form.placement = placement;
          given.form.padding = padding;
          given.batch = 2;
          given.tokens = 4;
          given.positions = {5, -1, 1000, 7, -(1LL << 31), 0, -9, 3};
          test::check_case_quickly(target, given, 62, number % 4 == 3);
          ++number;
        }
      }
    }
  }
}

TEST_CASE("Padding that is kept keeps the payloads of its NaNs, norm or not; zeroed it is zero", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
      for (const Padding padding : {Padding::zero, Padding::keep}) {
        const RopeSpec spec = normed_spec(DType::bf16, 4, {1, 8, 2}, std::nullopt);
        LaunchForm form;
        form.placement = placement;
        form.padding = padding;
        DirectCase given = direct_case(spec, form, {-1}, 1);
        given.q = {0x7fa5, 0xff80, 0x7f80, 0xffc1, 0x0001, 0x8000, 0x7fb1, 0xff99};
        for (const bool universal : {false, true}) {
          const DirectResult result =
              test::launch_direct(test::prepare_one(target, internal::lower(spec, form), universal), given);
          INFO(target->name() << " " << to_string(placement) << " " << to_string(padding));
          CHECK(result.q == (padding == Padding::zero ? Bits(8, 0) : given.q));
        }
      }
    }
  }
}

TEST_CASE("In place a normed head's layout becomes any other", "[numeric]") {
  struct Row {
    Layout from;
    Layout to;
  };
  const Row rows[] = {{Layout::interleaved, Layout::split_half},
                      {Layout::split_half, Layout::interleaved},
                      {Layout::split_sections, Layout::interleaved},
                      {Layout::split_half, Layout::split_sections}};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const Row& row : rows) {
      for (const std::int64_t rotary : {8, 64, 72, 128, 512}) {
        test::NumericCase given;
        given.spec = normed_spec(kTypes[number % 3], rotary, {3, rotary + 4, 2}, Operand{1, rotary, 0});
        given.spec.layout = row.from;
        given.spec.layout_out = row.to;
        const bool sections = row.from == Layout::split_sections || row.to == Layout::split_sections;
        if (sections) given.spec.axes = {{rotary / 4, rotary / 4}, AxisOrder::chunked, AxisFrequencies::restarted};
        given.form = LaunchForm::in_place_start();
        given.tokens = 3;
        given.positions = {1000};
        test::check_case_quickly(target, given, 63, false);
        if (number++ % 3 != 0) continue;
        given.in = test::Arrangement::lane_strided;
        test::check_case_quickly(target, given, 64, true);
      }
    }
  }
}

TEST_CASE("In place the layout of an operand without a norm changes beside one that has it", "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const Layout from : {Layout::interleaved, Layout::split_half}) {
      for (const std::int64_t rotary : {8, 64, 512}) {
        test::NumericCase given;
        given.spec = normed_spec(kTypes[number % 3], rotary, {3, rotary + 4, 2}, Operand{2, rotary, 0});
        given.spec.layout = from;
        given.spec.layout_out = from == Layout::interleaved ? Layout::split_half : Layout::interleaved;
        (number % 2 == 0 ? given.spec.k->norm : given.spec.q.norm).reset();
        given.form = LaunchForm::in_place_start();
        given.tokens = 3;
        given.positions = {1000};
        test::check_case_quickly(target, given, 68, number % 3 == 2);
        ++number;
      }
    }
  }
}

TEST_CASE("Two handles of one binary have an eps each, and q and k of one handle too", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    RopeSpec small = normed_spec(DType::fp32, 64, {4, 64, 0}, Operand{2, 64, 0});
    small.k->norm->eps = 1e-12;
    RopeSpec large = small;
    large.q.norm->eps = 0.1;
    large.k->norm->eps = 1e-3;
    const LaunchForm form = LaunchForm::out_of_place_ids();
    const internal::RotationPlan plans[] = {internal::lower(small, form), internal::lower(large, form)};
    REQUIRE(plans[0].kernel_class.hash() == plans[1].kernel_class.hash());
    const internal::Variant variant =
        internal::default_variants(plans[0].kernel_class, target->multiprocessors()).front().variant;
    REQUIRE(internal::generate(plans[0], variant).text == internal::generate(plans[1], variant).text);
    const internal::PreparedVariant binary = test::prepare_variant(target, plans[0], variant);
    const internal::PreparedKernel kernels[] = {one_kernel(target, plans[0], binary),
                                                one_kernel(target, plans[1], binary)};
    DirectCase given[2];
    given[0].spec = small;
    given[1].spec = large;
    DirectResult first[2];
    for (int i = 0; i < 6; ++i) {
      const int which = i % 2;
      DirectCase& here = given[which];
      here.form = form;
      here.positions = {0, 9};
      std::mt19937_64 random(11);
      test::fill_direct(random, here, 0.01);  // squares far below the larger eps
      const DirectResult result = test::launch_direct(kernels[which], here);
      const internal::Comparison comparison = test::compare_direct(here, result);
      INFO(target->name() << " " << here.spec.to_string() << " " << comparison.to_string());
      CHECK(comparison.passed());
      if (i < 2) first[which] = result;
      CHECK(result == first[which]);
    }
    CHECK(first[0].q != first[1].q);
    CHECK(first[0].k != first[1].k);
  }
}

TEST_CASE("A norm's weights are each launch's own", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const DType weight : kTypes) {
      test::NumericCase given;
      given.spec = normed_spec(DType::bf16, 64, {4, 64, 0}, Operand{2, 64, 0});
      given.spec.k->norm->weight_dtype = weight;
      given.spec.v = Operand{2, 24, 0, std::nullopt, std::nullopt, Norm{1e-6, weight}};
      given.form = LaunchForm::out_of_place_ids();
      given.tokens = 3;
      given.positions = {0, 9, 1000};
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      for (const std::uint64_t seed : {65, 66}) {
        given.weights_misaligned = !given.weights_misaligned;
        test::check_case(kernel, given, seed);
      }
      given.pass_k = false;
      test::check_case(kernel, given, 67);
      given.pass_v = false;
      test::check_case(kernel, given, 67);
    }
  }
}
