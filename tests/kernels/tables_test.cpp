#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "spec/lower.hpp"
#include "support/arena.hpp"
#include "support/catch.hpp"
#include "support/numeric_case.hpp"

namespace {

using namespace ropejit;

constexpr AngleSource kTables[] = {AngleSource::half,    AngleSource::full,    AngleSource::repeated,
                                   AngleSource::complex, AngleSource::cos_sin, AngleSource::radians};

test::NumericCase small_case(Layout layout, LaunchForm form) {
  test::NumericCase given;
  given.spec.layout = layout;
  given.spec.rotary_dim = 16;
  given.spec.q = {5, 24, 8};
  given.spec.k = Operand{2, 24, 0};
  given.form = form;
  given.batch = 2;
  given.tokens = 4;
  given.positions = {0, 1, 63, 17, 5, 9, 2, 31};
  return given;
}

}  // namespace

TEST_CASE("A caller's table in any form is applied as it is, for both layouts, dtypes and directions", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const AngleSource source : kTables) {
      for (const DType table : {DType::fp32, DType::bf16, DType::fp16}) {
        if (source == AngleSource::radians && table != DType::fp32) continue;
        const Layout layout = table == DType::fp32 ? Layout::split_half : Layout::interleaved;
        test::NumericCase given = small_case(layout, LaunchForm::out_of_place_ids().with_table(source, table));
        given.spec.dtype = table == DType::bf16 ? DType::bf16 : DType::fp32;
        given.spec.direction = source == AngleSource::half ? Direction::forward : Direction::adjoint;
        const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
        for (const bool misaligned : {false, true}) {
          for (const bool per_batch : {false, true}) {
            given.table_misaligned = misaligned;
            given.table_per_batch = per_batch;
            INFO(target->name() << " " << given.to_string() << (misaligned ? " misaligned" : "")
                                << (per_batch ? " a table a sequence" : ""));
            const test::NumericResult result = test::run_case(kernel, given, 21);
            INFO(result.to_string());
            CHECK(result.passed());
          }
        }
      }
    }
  }
}

TEST_CASE("A table gathered for the tokens is read by counting from 0", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    test::NumericCase given =
        small_case(Layout::split_half, LaunchForm::in_place_start().with_table(AngleSource::full, DType::bf16));
    given.positions = {0};
    given.table_rows = given.tokens;
    given.table_per_batch = true;
    const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
    const test::NumericResult result = test::run_case(kernel, given, 22);
    INFO(target->name() << " " << result.to_string());
    CHECK(result.passed());
  }
}

TEST_CASE("A position that has no row in the table makes its token NaN, and nothing beyond the table is read",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const AngleSource source : kTables) {
      test::NumericCase given = small_case(Layout::split_half, LaunchForm::in_place_ids().with_table(source));
      given.positions = {64, -1, 63, 0, 1LL << 40, -(1LL << 62), INT64_MAX, INT64_MIN};
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      const test::NumericResult result = test::run_case(kernel, given, 23);
      INFO(target->name() << " " << to_string(source) << " " << result.to_string());
      CHECK(result.passed());
    }
  }
}

TEST_CASE("A table of the exact angles in fp32 gives what computing them gives, to the bound of both", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Layout layout : {Layout::split_half, Layout::interleaved}) {
      test::NumericCase computed = small_case(layout, LaunchForm::out_of_place_ids());
      test::NumericCase table = computed;
      table.form = table.form.with_table(AngleSource::cos_sin);
      const auto run = [&](const test::NumericCase& given) {
        return test::run_case(test::prepare(target, internal::lower(given.spec, given.form)), given, 24);
      };
      const test::NumericResult a = run(computed);
      const test::NumericResult b = run(table);
      REQUIRE(a.passed());
      REQUIRE(b.passed());
      std::size_t different = 0;
      for (std::size_t i = 0; i < a.out_bytes.size(); i += 2) {
        different += std::memcmp(&a.out_bytes[i], &b.out_bytes[i], 2) != 0 ? 1U : 0U;
      }
      INFO(target->name() << ": " << different << " bf16 elements differ");
      CHECK(different < a.out_bytes.size() / 2 / 500);  // ties of the last rounding alone
    }
  }
}

TEST_CASE("Angles in radians are reduced exactly, however large", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    test::NumericCase given;
    given.spec.dtype = DType::fp32;
    given.spec.theta = 1e-30;  // frequencies grow from 1 to 1e28 radians a position
    given.spec.rotary_dim = 64;
    given.spec.q = {1, 64, 0};
    given.form = LaunchForm::in_place_ids().with_table(AngleSource::radians);
    given.tokens = 5;
    given.positions = {0, 1, 2, 7, 40};
    const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
    const test::NumericResult result = test::run_case(kernel, given, 25);
    INFO(target->name() << " " << result.to_string());
    CHECK(result.passed());
  }
}

TEST_CASE("A table's inverse undoes what the table did, and a shift keeps what it turned as long as it was",
          "[numeric]") {
  // Norms in fp32, at the precision of a bf16 table: the table's numbers are not of length 1.
  for (const test::TargetPtr& target : test::targets()) {
    RopeSpec spec;
    spec.dtype = DType::fp32;
    spec.rotary_dim = 2;
    spec.q = {1, 2, 0};
    const LaunchForm form = LaunchForm::in_place_start().with_table(AngleSource::complex);
    test::Inputs inputs(*target);
    const float* table = inputs.put(std::vector<float>{3.0F, 4.0F});
    const internal::DeviceBuffer buffer = target->allocate(8);
    const std::vector<float> in = {0.75F, -2.0F};
    target->upload(buffer.data(), in.data(), 8);
    const auto turned = [&](Direction direction) {
      spec.direction = direction;
      RopeArgs args;
      args.q.data = buffer.data();
      args.tokens = 1;
      args.table.cos = table;
      args.table.rows = 1;
      REQUIRE(internal::launch_prepared(test::prepare(target, internal::lower(spec, form)), args, nullptr));
      target->synchronize();
      std::vector<float> out(2);
      target->download(out.data(), buffer.data(), 8);
      return out;
    };
    INFO(target->name());
    CHECK(turned(Direction::forward) == std::vector<float>{0.75F * 3 + 2.0F * 4, -2.0F * 3 + 0.75F * 4});
    const std::vector<float> back = turned(Direction::inverse);
    CHECK(std::fabs(back[0] - in[0]) < 1e-6F);
    CHECK(std::fabs(back[1] - in[1]) < 1e-6F);
    const std::vector<float> moved = turned(Direction::shift);
    CHECK(std::fabs(moved[0] - (in[0] * 0.6F - in[1] * 0.8F)) < 1e-6F);
    CHECK(std::fabs(moved[1] - (in[1] * 0.6F + in[0] * 0.8F)) < 1e-6F);
  }
}

TEST_CASE("Plans that read a table do not depend on theta or scaling", "[codegen]") {
  const test::NumericCase given =
      small_case(Layout::split_half, LaunchForm::in_place_ids().with_table(AngleSource::half));
  RopeSpec other = given.spec;
  other.theta = 5e5;
  other.scaling = LinearScaling{4.0};
  CHECK(internal::lower(given.spec, given.form).hash() == internal::lower(other, given.form).hash());
  CHECK(internal::lower(given.spec, LaunchForm::in_place_ids()).hash() !=
        internal::lower(other, LaunchForm::in_place_ids()).hash());
  CHECK_THROWS(internal::lower(given.spec, given.form.with_table(AngleSource::radians, DType::bf16)));
}

TEST_CASE("A form with a table reads back from its JSON, and one without says nothing of tables", "[codegen]") {
  const LaunchForm plain = LaunchForm::out_of_place_start();
  CHECK(plain.to_json().find("angles") == std::string::npos);
  for (const AngleSource source : kTables) {
    for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
      const LaunchForm form = plain.with_table(source, dtype);
      CHECK(LaunchForm::from_json(form.to_json()) == form);
      CHECK(form != plain);
    }
  }
  CHECK_THROWS(LaunchForm::from_json(R"({"angles":"cosine"})"));
  CHECK_THROWS(LaunchForm::from_json(R"({"table_dtype":"fp8"})"));
}
