#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/check_case.hpp"
#include "support/random_spec.hpp"
#include "verify/oracle.hpp"

namespace {

using namespace ropejit;

std::uint64_t seed() {
  const char* text = std::getenv("ROPEJIT_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20260101;
}

}  // namespace

TEST_CASE("Every random spec, form and arrangement of tensors comes out within the bound", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(seed());
    for (int i = 0; i < test::random_cases(25); ++i) {
      const test::NumericCase given = test::random_case(random);
      INFO(target->name() << " case " << i << ": " << given.to_string());
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      const test::NumericResult result = test::run_case(kernel, given, random());
      INFO(result.to_string());
      REQUIRE(result.passed());
    }
  }
}

TEST_CASE("The host target and the GPU give the same bits", "[numeric][cuda]") {
  const std::vector<test::TargetPtr> targets = test::targets();
  if (targets.size() < 2) {
    WARN("no GPU here: nothing to compare");
    return;
  }
  std::mt19937_64 random(seed() + 2);
  int compared = 0;
  while (compared < test::random_cases(15)) {
    const test::NumericCase given = test::random_case(random);
    const std::uint64_t values = random();
    // The host has no hardware sine, and NaNs (of positions without a row) keep another payload there.
    if (given.spec.sine == Sine::hardware || given.form.angles != AngleSource::computed) continue;
    ++compared;
    INFO("case " << compared << ": " << given.to_string());
    const internal::RotationPlan plan = internal::lower(given.spec, given.form);
    std::vector<test::NumericResult> outputs;
    for (const test::TargetPtr& target : targets) {
      outputs.push_back(test::run_case(test::prepare(target, plan), given, values));
    }
    CHECK(outputs[0].out_bytes == outputs[1].out_bytes);
    CHECK(outputs[0].statistics == outputs[1].statistics);
  }
}

TEST_CASE("Binaries of one plan that were compiled apart give the same bits", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(seed() + 1);
    for (int i = 0; i < test::random_cases(10); ++i) {
      test::NumericCase given = test::random_case(random);
      // Every binary must be able to serve the launch.
      given.in = given.out = test::Arrangement::bshd;
      given.table_misaligned = given.weights_misaligned = false;
      if (given.pages == test::Pages::misaligned) given.pages = test::Pages::nhd;
      INFO(target->name() << " case " << i << ": " << given.to_string());
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const std::vector<internal::Variant> space = internal::variant_space(plan.kernel_class);
      std::vector<internal::Variant> variants = {internal::universal_variant(plan.kernel_class)};
      // Rows too wide for a block have the universal entry alone.
      for (int draw = 0; draw < 2 && !space.empty(); ++draw) variants.push_back(space[random() % space.size()]);
      const std::uint64_t values = random();
      std::vector<unsigned char> bits;
      std::array<std::vector<std::uint32_t>, 3> statistics;
      for (const internal::Variant& variant : variants) {
        INFO(to_string(variant));
        const internal::PreparedVariant prepared = test::prepare_variant(target, plan, variant);
        const test::NumericResult result =
            test::run_case(test::kernel_of(target, plan, prepared, prepared), given, values);
        INFO(result.to_string());
        REQUIRE(result.passed());
        if (bits.empty()) {
          bits = result.out_bytes;
          statistics = result.statistics;
        }
        CHECK(result.out_bytes == bits);
        CHECK(result.statistics == statistics);
      }
    }
  }
}

TEST_CASE("A table made from the exact angles gives the same output as computing them", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(seed() + 2);
    for (int i = 0; i < test::random_cases(8); ++i) {
      constexpr AngleSource kTables[] = {AngleSource::half,    AngleSource::full,    AngleSource::repeated,
                                         AngleSource::complex, AngleSource::cos_sin, AngleSource::radians};
      test::NumericCase given;
      given.spec = test::random_spec(random, test::Norms::none);
      given.spec.rounding = Rounding::exact;
      given.spec.angle = AngleRounding::exact;
      given.form = LaunchForm::in_place_ids();
      given.spec.dtype = DType::fp32;
      given.tokens = 6;
      for (std::int64_t axis = 0; axis < 4; ++axis) {
        for (const std::int64_t position : {0, 1, 2, 7, 31, 63})
          given.positions.push_back((position * (axis + 1)) % 64);
      }
      test::NumericCase table = given;
      table.form = given.form.with_table(test::pick(random, kTables));
      // Radians are not multiplied by a rule's scale, and are fp32: exact enough at small positions.
      const bool radians = table.form.angles == AngleSource::radians;
      if (radians) given.spec.scaling = table.spec.scaling = NoScaling{};
      INFO(target->name() << " case " << i << ": " << table.to_string());
      const test::NumericResult computed =
          test::run_case(test::prepare_one(target, internal::lower(given.spec, given.form), false), given, 5);
      const test::NumericResult read =
          test::run_case(test::prepare_one(target, internal::lower(table.spec, table.form), false), table, 5);
      INFO(computed.to_string() << " / " << read.to_string());
      REQUIRE(computed.passed());
      REQUIRE(read.passed());
      REQUIRE(computed.out_bytes.size() == read.out_bytes.size());
      const double scale = internal::Oracle(given.spec).attention_scale();
      double worst = 0;
      for (std::int64_t e = 0; e < static_cast<std::int64_t>(read.out_bytes.size() / 4); ++e) {
        const auto value = [&](const test::NumericResult& result) {
          return internal::decode(DType::fp32, internal::load_bits(DType::fp32, result.out_bytes.data(), e));
        };
        worst = std::max(worst, std::fabs(value(computed) - value(read)));
      }
      // Values are within 6; fp32 holds an angle of 63 radians to 2^-19.
      CHECK(worst <= scale * (radians ? 0x1p-15 : 0x1p-16));
    }
  }
}
