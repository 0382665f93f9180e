#include <cstdint>
#include <vector>

#include "support/check_case.hpp"

namespace {

using namespace ropejit;

struct AxesRow {
  std::vector<std::int64_t> sections;
  AxisOrder order;
};

const std::vector<AxesRow> kAxes = {
    {{8, 12, 12}, AxisOrder::chunked},       // Qwen2-VL
    {{8, 8, 8, 8}, AxisOrder::chunked},      // HunYuan's four
    {{16, 16}, AxisOrder::chunked},          // vision towers
    {{0, 32}, AxisOrder::chunked},           // an axis without pairs
    {{12, 10, 10}, AxisOrder::interleaved},  // Qwen3-VL
    {{20, 5, 7}, AxisOrder::interleaved},   {{20, 12}, AxisOrder::interleaved},
    {{4, 14, 14}, AxisOrder::alternating},  // ERNIE 4.5-VL
};

test::NumericCase image_case(const AxesRow& row, LaunchForm form) {
  test::NumericCase given;
  given.spec.axes.sections = row.sections;
  given.spec.axes.order = row.order;
  given.spec.rotary_dim = 64;
  given.spec.q = {4, 80, 8};
  given.spec.k = Operand{2, 64, 0};
  given.form = form;
  given.batch = 2;
  given.tokens = 3;
  // Every axis has numbers of its own.
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(row.sections.size()) * 6; ++i) {
    given.positions.push_back(i % 5 == 0 ? 0 : (i * i * 7919) % 131071 - (i % 4 == 1 ? 70000 : 0));
  }
  return given;
}

}  // namespace

TEST_CASE("Each pair turns by its axis' position, in every order and with every frequency rule", "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const AxesRow& row : kAxes) {
      for (const AxisFrequencies frequencies :
           {AxisFrequencies::shared, AxisFrequencies::restarted, AxisFrequencies::strided}) {
        test::NumericCase given =
            image_case(row, number % 2 == 0 ? LaunchForm::in_place_ids(PositionSource::ids32)
                                            : LaunchForm::out_of_place_ids(PositionSource::ids64));
        given.spec.axes.frequencies = frequencies;
        given.spec.layout = number % 4 < 2 ? Layout::split_half : Layout::interleaved;
        if (number % 5 == 0) given.spec.scaling = LinearScaling{4};
        const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
        for (const test::AxisRows rows :
             {test::AxisRows::contiguous, test::AxisRows::padded, test::AxisRows::innermost}) {
          given.axis_rows = rows;
          given.share_positions = rows == test::AxisRows::padded;
          test::check_case(kernel, given, 31);
        }
        ++number;
      }
    }
  }
}

TEST_CASE("Tokens of text, with one position for all axes, turn as if there were no axes", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    test::NumericCase given = image_case({{8, 12, 12}, AxisOrder::chunked}, LaunchForm::out_of_place_ids());
    given.positions = {3, 9, 27, -81, 243, 729, 3, 9, 27, -81, 243, 729, 3, 9, 27, -81, 243, 729};
    test::NumericCase text = given;
    text.spec.axes = {};
    text.positions.resize(6);
    const auto bytes = [&](const test::NumericCase& one) {
      return test::run_case(test::prepare(target, internal::lower(one.spec, one.form)), one, 32).out_bytes;
    };
    INFO(target->name());
    CHECK(bytes(given) == bytes(text));
  }
}

TEST_CASE("Positions that are counted are the same on every axis", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const PositionSource source :
         {PositionSource::start, PositionSource::offsets32, PositionSource::offsets64, PositionSource::ragged}) {
      test::NumericCase given = image_case(kAxes[2], LaunchForm{});
      given.form.positions = source;
      given.spec.axes.frequencies = AxisFrequencies::restarted;
      given.positions = {1000, -3};
      if (source == PositionSource::start) given.positions = {12345};
      if (source == PositionSource::ragged) {
        given.batch = 1;
        given.tokens = 6;
        given.cu_seqlens = {0, 2, 6};
      }
      test::check_case(target, given, 33);
    }
  }
}

TEST_CASE("Sections with lanes of their own are read and written, in place and into other layouts", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const std::int64_t sections : {2, 3, 4}) {
      for (const Layout other : {Layout::split_sections, Layout::split_half, Layout::interleaved}) {
        for (const bool reads_sections : {true, false}) {
          const std::int64_t pairs = sections == 3 ? 24 : 32;
          const std::vector<std::int64_t> equal(static_cast<std::size_t>(sections), pairs / sections);
          test::NumericCase given = image_case({equal, AxisOrder::chunked}, LaunchForm::in_place_ids());
          given.spec.rotary_dim = 2 * pairs;
          given.spec.axes.frequencies = AxisFrequencies::restarted;
          given.spec.layout = reads_sections ? Layout::split_sections : other;
          given.spec.layout_out = reads_sections ? other : Layout::split_sections;
          if (sections == 4) given.form.placement = Placement::out_of_place;
          test::check_case(target, given, 34);
        }
      }
    }
  }
}

TEST_CASE("Each pair reads the row of its own axis' position from a caller's table, and reports a row that is missing",
          "[numeric]") {
  constexpr AngleSource kTables[] = {AngleSource::half,    AngleSource::full,    AngleSource::repeated,
                                     AngleSource::complex, AngleSource::cos_sin, AngleSource::radians};
  constexpr Direction kDirections[] = {Direction::forward, Direction::adjoint, Direction::inverse, Direction::shift};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const AngleSource source : kTables) {
      for (const Direction direction : kDirections) {
        const AxesRow& row = kAxes[static_cast<std::size_t>(number) % kAxes.size()];
        test::NumericCase given = image_case(row, LaunchForm::in_place_ids().with_table(source));
        given.spec.direction = direction;
        given.table_per_batch = number % 2 == 0;
        const internal::PreparedKernel kernel =
            test::prepare_one(target, internal::lower(given.spec, given.form), number % 2 == 0);
        for (std::size_t i = 0; i < given.positions.size(); ++i) {
          given.positions[i] =
              static_cast<std::int64_t>(i * i % 61) * (direction == Direction::shift && i % 2 ? -1 : 1);
        }
        test::check_case(kernel, given, 35);
        given.positions[1] = 64;
        given.positions.back() = INT64_MIN;
        test::check_case(kernel, given, 36);
        ++number;
      }
    }
  }
}
