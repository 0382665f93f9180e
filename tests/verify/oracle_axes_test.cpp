#include "verify/oracle_axes.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "verify/oracle.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

RopeSpec spec_of(const std::vector<std::int64_t>& sections, AxisOrder order,
                 AxisFrequencies frequencies = AxisFrequencies::shared) {
  RopeSpec spec;
  spec.axes = {sections, order, frequencies};
  std::int64_t pairs = 0;
  for (const std::int64_t section : sections) pairs += section;
  spec.rotary_dim = 2 * pairs;
  spec.q = {1, spec.rotary_dim, 0};
  return spec;
}

/// "0012": the axis of every pair.
std::string axes_text(const RopeSpec& spec) {
  std::string text;
  for (const OraclePairAxis& pair : oracle_pair_axes(spec)) text += static_cast<char>('0' + pair.axis);
  return text;
}

}  // namespace

TEST_CASE("Every order deals the pairs to the axes as its models do") {
  struct Row {
    std::vector<std::int64_t> sections;
    AxisOrder order;
    std::string axes;
  };
  const Row rows[] = {
      {{2, 3, 3}, AxisOrder::chunked, "00111222"},
      {{4, 0, 4}, AxisOrder::chunked, "00002222"},
      {{1, 2, 3, 2}, AxisOrder::chunked, "01122233"},
      // Qwen3-VL's [24, 20, 20]: T, H, W by turns up to 60, then T.
      {{24, 20, 20},
       AxisOrder::interleaved,
       "012012012012012012012012012012012012012012012012012012012012"
       "0000"},
      {{4, 2}, AxisOrder::interleaved, "010100"},
      {{2, 3, 3}, AxisOrder::alternating, "12121200"},
  };
  for (const Row& row : rows) {
    INFO(to_string(row.order));
    CHECK(axes_text(spec_of(row.sections, row.order)) == row.axes);
  }
}

TEST_CASE("Frequencies of axes restart, take turns or run on") {
  struct Row {
    std::vector<std::int64_t> sections;
    AxisOrder order;
    AxisFrequencies frequencies;
    std::int64_t pair;
    long double w;  // mpmath, 300 bits; theta 10000
  };
  const Row rows[] = {
      {{12, 20}, AxisOrder::chunked, AxisFrequencies::restarted, 0, 1.0L},
      {{12, 20}, AxisOrder::chunked, AxisFrequencies::restarted, 12, 1.0L},
      {{12, 20}, AxisOrder::chunked, AxisFrequencies::restarted, 15, 0.2511886431509580111085032L},
      {{16, 16}, AxisOrder::chunked, AxisFrequencies::strided, 21, 0.04216965034285822485690134L},
      {{16, 16}, AxisOrder::chunked, AxisFrequencies::strided, 0, 1.0L},
      {{2, 2}, AxisOrder::chunked, AxisFrequencies::strided, 1, 0.01L},
      {{2, 2}, AxisOrder::chunked, AxisFrequencies::strided, 2, 0.1L},
      {{2, 2}, AxisOrder::chunked, AxisFrequencies::shared, 1, 0.1L},
      {{2, 2}, AxisOrder::chunked, AxisFrequencies::shared, 2, 0.01L},
      {{2, 1, 1}, AxisOrder::interleaved, AxisFrequencies::restarted, 3, 0.01L},
      {{2, 1, 1}, AxisOrder::interleaved, AxisFrequencies::restarted, 2, 1.0L},
  };
  for (const Row& row : rows) {
    RopeSpec spec = spec_of(row.sections, row.order, row.frequencies);
    INFO(to_string(row.order) << " " << to_string(row.frequencies) << " pair " << row.pair);
    CHECK(static_cast<double>(std::fabs(Oracle(spec).frequency(row.pair) / row.w - 1)) < 2e-19);
    spec.scaling = LinearScaling{2};
    CHECK(static_cast<double>(std::fabs(2 * Oracle(spec).frequency(row.pair) / row.w - 1)) < 2e-19);
  }
}

TEST_CASE("Each pair turns by the position of its own axis") {
  const Oracle oracle(spec_of({1, 2, 1}, AxisOrder::chunked));
  const std::vector<std::int64_t> positions = {7, -3, 1000};
  const Angles angles = oracle.angles(positions);
  const double expected[] = {7.0, -3.0 / 10, -3.0 / 100, 1000.0 / 1000};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(std::fabs(angles.cos[i] - std::cos(expected[i])) < 1e-15);
    CHECK(std::fabs(angles.sin[i] - std::sin(expected[i])) < 1e-15);
  }
}

TEST_CASE("Sections with lanes of their own turn within them") {
  RopeSpec spec = spec_of({2, 2}, AxisOrder::chunked, AxisFrequencies::restarted);
  spec.layout = Layout::split_sections;
  spec.q = {1, 10, 2};
  const Oracle oracle(spec);
  // A one in each lane in turn: the lane that a sine then appears in.
  const std::int64_t partners[] = {0, 0, 4, 5, 2, 3, 8, 9, 6, 7};
  const std::vector<std::int64_t> positions = {1, 1};
  for (std::int64_t lane = 2; lane < 10; ++lane) {
    std::vector<double> in(10, 0.0);
    std::vector<double> out(10);
    std::vector<double> bound(10);
    in[static_cast<std::size_t>(lane)] = 1;
    oracle.expect(oracle.angles(positions), spec.q, in, out, bound);
    const double angle = lane % 2 == 0 ? 1.0 : 0.01;
    INFO("lane " << lane);
    CHECK(std::fabs(out[static_cast<std::size_t>(lane)] - std::cos(angle)) < 1e-15);
    CHECK(std::fabs(std::fabs(out[static_cast<std::size_t>(partners[lane])]) - std::sin(angle)) < 1e-15);
  }
}
