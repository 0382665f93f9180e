// What is written: types of their own, other layouts, rounding policies.
#include <cstdint>
#include <vector>

#include "support/check_case.hpp"

namespace {

using namespace ropejit;

constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};

test::NumericCase two_tensors(LaunchForm form) {
  test::NumericCase given;
  given.spec.rotary_dim = 32;
  given.spec.q = {5, 48, 8};
  given.spec.k = Operand{2, 32, 0};
  given.form = form;
  given.batch = 2;
  given.tokens = 3;
  given.positions = {5, 0, 1000, 131071, 8, -9};
  return given;
}

}  // namespace

TEST_CASE("q and k are each written in a type of their own, lanes that do not rotate converted too", "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const DType dtype : kTypes) {
      for (const DType q_out : kTypes) {
        for (const DType k_out : kTypes) {
          test::NumericCase given = two_tensors(LaunchForm::out_of_place_ids());
          given.spec.dtype = dtype;
          given.spec.q.dtype_out = q_out;
          given.spec.k->dtype_out = k_out;
          if (number % 4 == 1) given.spec.layout_out = Layout::interleaved;
          if (number % 4 == 2) given.spec.rounding = Rounding::p1;
          if (number % 4 == 3) given.in = given.out = test::Arrangement::lane_strided;
          const bool universal = number % 4 == 3 || number % 2 == 0;
          test::check_case_quickly(target, given, 51, universal);
          ++number;
        }
      }
    }
  }
}

TEST_CASE("In place any layout becomes any other, at every head size and in every type", "[numeric]") {
  constexpr std::int64_t kDims[] = {2,  4,  6,   8,   10,  16,  20,   32,   34,   64,
                                    80, 96, 128, 192, 256, 512, 1024, 2048, 4094, 4096};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const std::int64_t dim : kDims) {
      for (const DType dtype : kTypes) {
        const bool from_interleaved = number++ % 2 == 0;
        test::NumericCase given;
        given.spec.dtype = dtype;
        given.spec.rotary_dim = dim;
        // A head with lanes that stay on both sides, as far as heads go.
        given.spec.q = {3, dim <= 4092 ? dim + 4 : dim, dim <= 4092 ? 2 : 0};
        given.spec.k = Operand{1, dim, 0};
        given.spec.layout = from_interleaved ? Layout::interleaved : Layout::split_half;
        given.spec.layout_out = from_interleaved ? Layout::split_half : Layout::interleaved;
        if (dim % 8 == 0 && number % 3 == 0) {
          given.spec.axes = {{dim / 4, dim / 4}, AxisOrder::chunked, AxisFrequencies::restarted};
          if (from_interleaved) {
            given.spec.layout = Layout::split_sections;
          } else {
            given.spec.layout_out = Layout::split_sections;
          }
        }
        given.form = LaunchForm::in_place_start();
        given.tokens = 3;
        given.positions = {1000};
        const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
        test::check_case(kernel, given, 52);
        given.in = test::Arrangement::lane_strided;
        test::check_case(kernel, given, 53);
      }
    }
  }
}

TEST_CASE("A change of layout in place gives the bits of the same change out of place", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Layout layout : {Layout::split_half, Layout::interleaved}) {
      test::NumericCase given = two_tensors(LaunchForm::in_place_ids());
      given.spec.layout = layout;
      given.spec.layout_out = layout == Layout::split_half ? Layout::interleaved : Layout::split_half;
      given.spec.q = {5, 32, 0};
      given.spec.k = std::nullopt;
      test::NumericCase apart = given;
      apart.form = LaunchForm::out_of_place_ids();
      const auto bytes = [&](const test::NumericCase& one) {
        const test::NumericResult result =
            test::run_case(test::prepare(target, internal::lower(one.spec, one.form)), one, 54);
        REQUIRE(result.passed());
        return result.out_bytes;
      };
      const std::vector<unsigned char> in_place = bytes(given);
      const std::vector<unsigned char> both = bytes(apart);
      REQUIRE(both.size() == 2 * in_place.size());
      // Within the guards of 64 elements.
      CHECK(std::vector<unsigned char>(in_place.begin() + 128, in_place.end() - 128) ==
            std::vector<unsigned char>(both.begin() + static_cast<std::ptrdiff_t>(in_place.size()) + 128,
                                       both.end() - 128));
    }
  }
}

TEST_CASE("Every rounding policy, of angles and of sums, holds its bound in every direction and type", "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const Rounding rounding : {Rounding::exact, Rounding::p1, Rounding::p2, Rounding::p3}) {
      for (const AngleRounding angle : {AngleRounding::exact, AngleRounding::fp32_inv_freq, AngleRounding::fp32}) {
        for (const DType dtype : kTypes) {
          constexpr Direction kDirections[] = {Direction::forward, Direction::adjoint, Direction::inverse,
                                               Direction::shift};
          test::NumericCase given = two_tensors(LaunchForm::in_place_ids());
          given.spec.dtype = dtype;
          given.spec.rounding = rounding;
          given.spec.angle = angle;
          given.spec.sine = number % 2 == 0 ? Sine::polynomial : Sine::hardware;
          given.spec.direction = kDirections[(number / 3) % 4];
          if (number % 5 == 0) given.spec.scaling = YarnScaling{8, 4096};
          given.positions = {5, 16777217, 1000003, 2147483647, 1LL << 39, -33554435};
          test::check_case_quickly(target, given, 55, number % 2 != 0);
          ++number;
        }
      }
    }
  }
}

TEST_CASE("With cos and sin in the tensor's own type the policies give their own bits", "[numeric]") {
  constexpr AngleSource kTables[] = {AngleSource::half, AngleSource::full, AngleSource::repeated, AngleSource::complex,
                                     AngleSource::cos_sin};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const Rounding rounding : {Rounding::p1, Rounding::p2, Rounding::p3}) {
      for (const DType dtype : kTypes) {
        for (const DType table : kTypes) {
          test::NumericCase given = two_tensors(LaunchForm::out_of_place_ids().with_table(kTables[number % 5], table));
          given.spec.dtype = dtype;
          given.spec.rounding = rounding;
          given.spec.layout = number % 2 == 0 ? Layout::split_half : Layout::interleaved;
          given.spec.direction = number % 3 == 0 ? Direction::adjoint : Direction::forward;
          if (number % 4 == 0) given.spec.q.dtype_out = DType::fp32;
          given.positions = {5, 0, 63, 17, 8, 1};
          // The oracle asks for bits here, and no bound but 0.
          test::check_case_quickly(target, given, 56, number % 2 == 0);
          ++number;
        }
      }
    }
  }
}

TEST_CASE("Policies differ where they should: in 16 bits all four, in fp32 exact from the rest", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const DType dtype : kTypes) {
      test::NumericCase given = two_tensors(LaunchForm::in_place_ids().with_table(AngleSource::half, DType::fp32));
      given.spec.dtype = dtype;
      given.spec.q = {16, 32, 0};
      given.positions = {5, 9, 63, 17, 8, 1};
      std::vector<std::vector<unsigned char>> bytes;
      for (const Rounding rounding : {Rounding::exact, Rounding::p1, Rounding::p2, Rounding::p3}) {
        given.spec.rounding = rounding;
        bytes.push_back(
            test::run_case(test::prepare_one(target, internal::lower(given.spec, given.form), false), given, 57)
                .out_bytes);
      }
      INFO(target->name() << " " << to_string(dtype));
      CHECK(bytes[0] != bytes[1]);
      CHECK((bytes[1] == bytes[2]) == (dtype == DType::fp32));
      CHECK((bytes[2] == bytes[3]) == (dtype == DType::fp32));
    }
  }
}
