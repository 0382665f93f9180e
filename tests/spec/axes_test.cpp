// Which pair belongs to which axis, and which axes are refused. The frequencies of axes: frequencies_test.cpp.
#include "spec/axes.hpp"

#include <limits>
#include <string>
#include <vector>

#include "ropejit/error.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;
using ropejit::test::contains;
using ropejit::test::error_of;

namespace {

RopeSpec spec_of(std::int64_t rotary_dim, const Axes& axes) {
  RopeSpec spec;
  spec.rotary_dim = rotary_dim;
  spec.q = Operand{1, rotary_dim, 0};
  spec.axes = axes;
  return spec;
}

/// A letter a pair: T, H, W, E for axes 0 to 3.
std::string letters(const RopeSpec& spec) {
  spec.validate();
  std::string text;
  for (const PairAxis& pair : pair_axes(spec)) text += "THWE"[pair.axis];
  return text;
}

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("pairs go to the axes that the models give them to") {
  CHECK(letters(spec_of(8, {})) == "TTTT");
  // Qwen2-VL: sections 16, 24, 24 one after another.
  CHECK(letters(spec_of(128, {{16, 24, 24}})) == repeated("T", 16) + repeated("H", 24) + repeated("W", 24));
  // Qwen3-VL: pairs 60 to 63 are T.
  CHECK(letters(spec_of(128, {{24, 20, 20}, AxisOrder::interleaved})) == repeated("THW", 20) + "TTTT");
  // ERNIE 4.5-VL: height and width by turns, then time.
  CHECK(letters(spec_of(128, {{20, 22, 22}, AxisOrder::alternating})) == repeated("HW", 22) + repeated("T", 20));
  // HunYuan's XD-RoPE: four chunks.
  CHECK(letters(spec_of(16, {{2, 2, 2, 2}})) == "TTHHWWEE");
  CHECK(letters(spec_of(8, {{2, 2}, AxisOrder::interleaved})) == "THTH");
}

TEST_CASE("sections that are empty or unequal leave their pairs to others") {
  CHECK(letters(spec_of(8, {{0, 4}})) == "HHHH");
  CHECK(letters(spec_of(8, {{4, 0, 0}})) == "TTTT");
  CHECK(letters(spec_of(8, {{0, 1, 0, 3}})) == "HEEE");
  CHECK(letters(spec_of(12, {{4, 2, 0}, AxisOrder::interleaved})) == "THTTHT");
  CHECK(letters(spec_of(12, {{3, 1, 2}, AxisOrder::interleaved})) == "THWTTW");
  CHECK(letters(spec_of(8, {{4, 0, 0}, AxisOrder::alternating})) == "TTTT");
  CHECK(letters(spec_of(8, {{0, 2, 2}, AxisOrder::alternating})) == "HWHW");
}

TEST_CASE("places count the pairs of an axis from 0") {
  const std::vector<PairAxis> pairs = pair_axes(spec_of(12, {{3, 1, 2}, AxisOrder::interleaved}));
  const std::vector<std::int64_t> places{0, 0, 0, 1, 2, 1};
  REQUIRE(pairs.size() == places.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) CHECK(pairs[i].place == places[i]);
}

TEST_CASE("axes that do not fit are refused by name") {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto scaled = [](const Scaling& scaling, AxisFrequencies frequencies) {
    RopeSpec spec = spec_of(16, {{4, 4}, AxisOrder::chunked, frequencies});
    spec.theta = 10000;
    spec.scaling = scaling;
    return spec;
  };
  const auto laid_out = [](Layout layout, std::optional<Layout> layout_out, const Axes& axes) {
    RopeSpec spec = spec_of(16, axes);
    spec.layout = layout;
    spec.layout_out = layout_out;
    return spec;
  };
  struct Row {
    RopeSpec spec;
    const char* message;
  };
  const Row rows[] = {
      {spec_of(16, {{8}}), "axes.sections: found 1 numbers, allowed: none, or 2 to 4, one for each axis"},
      {spec_of(20, {{2, 2, 2, 2, 2}}), "axes.sections: found 5 numbers, allowed: none, or 2 to 4, one for each axis"},
      {spec_of(16, {{4, -4, 8}}), "axes.sections[1]: found -4, allowed: an integer from 0 to 8"},
      {spec_of(16, {{9, 0}}), "axes.sections[0]: found 9, allowed: an integer from 0 to 8"},
      {spec_of(16, {{kMost, kMost}}), "axes.sections[0]: found 9223372036854775807, allowed: an integer from 0 to 8"},
      {spec_of(16, {{2, 3, 2}}),
       "axes.sections: found [2, 3, 2], which add up to 7, allowed: numbers that add up to 8, the pairs of rotary_dim "
       "16"},
      {spec_of(16, {{8, 8}}),
       "axes.sections: found [8, 8], which add up to 16, allowed: numbers that add up to 8, the pairs of rotary_dim "
       "16"},
      {spec_of(16, {{3, 2, 3}, AxisOrder::alternating}),
       "axes.sections: found [3, 2, 3], allowed: three numbers with order alternating, of which the last two are the "
       "same"},
      {spec_of(16, {{4, 2, 2, 0}, AxisOrder::alternating}),
       "axes.sections: found [4, 2, 2, 0], allowed: three numbers with order alternating, of which the last two are "
       "the same"},
      {spec_of(16, {{4, 4}, AxisOrder::alternating}),
       "axes.sections: found [4, 4], allowed: three numbers with order alternating, of which the last two are the "
       "same"},
      {spec_of(16, {{4, 4, 0}, AxisOrder::interleaved}),
       "axes.sections[1]: found 4, allowed: an integer from 0 to 3: each axis' turns among 8 pairs with order "
       "interleaved"},
      {spec_of(16, {{2, 3, 3}, AxisOrder::interleaved}),
       "axes.sections[2]: found 3, allowed: an integer from 0 to 2: each axis' turns among 8 pairs with order "
       "interleaved"},
      {spec_of(16, {{}, AxisOrder::interleaved}),
       "axes.order: found interleaved without axes.sections, allowed: chunked, or sections"},
      {spec_of(16, {{}, AxisOrder::chunked, AxisFrequencies::strided}),
       "axes.frequencies: found strided without axes.sections, allowed: shared, or sections"},
      {spec_of(16, {{4, 4}, static_cast<AxisOrder>(3)}),
       "axes.order: found 3, allowed: chunked, interleaved, alternating"},
      {spec_of(16, {{4, 4}, AxisOrder::chunked, static_cast<AxisFrequencies>(-1)}),
       "axes.frequencies: found -1, allowed: shared, restarted, strided"},
      {scaled(YarnScaling{4, 4096}, AxisFrequencies::restarted),
       "axes.frequencies: found restarted with scaling yarn(factor 4, original 4096), allowed: shared with that "
       "scaling"},
      {scaled(NtkScaling{4}, AxisFrequencies::strided),
       "axes.frequencies: found strided with scaling ntk(alpha 4), allowed: shared with that scaling"},
      {scaled(InvFreqScaling{std::vector<double>(8, 1.0), std::nullopt}, AxisFrequencies::restarted),
       "axes.frequencies: found restarted with scaling inv_freq(of 8 numbers), allowed: shared with that scaling"},
      {laid_out(Layout::split_sections, std::nullopt, {}),
       "layout: found split_sections with axes.sections [], order chunked, allowed: that layout with 2 to 4 equal "
       "sections in order chunked"},
      {laid_out(Layout::split_sections, std::nullopt, {{2, 6}}),
       "layout: found split_sections with axes.sections [2, 6], order chunked, allowed: that layout with 2 to 4 equal "
       "sections in order chunked"},
      {laid_out(Layout::split_half, Layout::split_sections, {{4, 4}, AxisOrder::interleaved}),
       "layout_out: found split_sections with axes.sections [4, 4], order interleaved, allowed: that layout with 2 to "
       "4 equal sections in order chunked"},
  };
  for (const Row& row : rows) {
    const auto error = error_of([&] {
      row.spec.validate();
      return 0;
    });
    INFO("wanted: " << row.message);
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::invalid_argument);
    CHECK(std::string(error->what()) == row.message);
    CHECK(std::string(error->stage()) == "spec");
  }
}

TEST_CASE("what goes with axes is accepted") {
  for (const AxisFrequencies frequencies : {AxisFrequencies::restarted, AxisFrequencies::strided}) {
    RopeSpec spec = spec_of(16, {{4, 4}, AxisOrder::chunked, frequencies});
    spec.layout = Layout::split_sections;
    spec.layout_out = Layout::split_half;
    CHECK_NOTHROW(spec.validate());
    spec.scaling = LinearScaling{2};
    CHECK_NOTHROW(spec.validate());
  }
  RopeSpec yarn = spec_of(16, {{4, 4}});
  yarn.scaling = YarnScaling{4, 4096};
  CHECK_NOTHROW(yarn.validate());
}
