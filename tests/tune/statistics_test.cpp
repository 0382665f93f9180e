#include "tune/statistics.hpp"

#include <algorithm>
#include <set>

#include "support/catch.hpp"

using namespace ropejit::internal;

TEST_CASE("A summary has the median, the quartiles and the median absolute deviation") {
  struct Row {
    std::vector<double> samples;
    double median, lower, upper, spread;
  };
  const Row rows[] = {
      {{}, 0, 0, 0, 0},
      {{5}, 5, 5, 5, 0},
      {{1, 2}, 1.5, 1.25, 1.75, 0.5},
      {{9, 1, 5}, 5, 3, 7, 4},
      {{4, 1, 3, 2, 5}, 3, 2, 4, 1},
      {{1, 1, 1, 1, 1000}, 1, 1, 1, 0},  // one interrupted sample moves nothing
      {{10, 12, 11, 13, 100, 14, 9, 15}, 12.5, 10.75, 14.25, 2},
  };
  for (const Row& row : rows) {
    const Summary summary = summarize(row.samples);
    CAPTURE(row.samples);
    CHECK(summary.median == Approx(row.median));
    CHECK(summary.lower == Approx(row.lower));
    CHECK(summary.upper == Approx(row.upper));
    CHECK(summary.spread == Approx(row.spread));
    CHECK(summary.count == row.samples.size());
  }
}

TEST_CASE("The fastest are those with the lowest medians, and equal ones keep their order") {
  const std::vector<std::vector<double>> samples = {{5, 5, 5}, {1, 9, 9}, {}, {4, 4, 100}, {4, 4, 4}};
  CHECK(fastest(samples, 2) == std::vector<std::size_t>{3, 4});
  CHECK(fastest(samples, 99) == std::vector<std::size_t>{3, 4, 0, 1, 2});
  CHECK(fastest({}, 3).empty());
}

TEST_CASE("Repetitions fill the time within their bounds, and are odd") {
  CHECK(repetitions(1000, 0.0155, 9, 41) == 15);
  CHECK(repetitions(1000, 0.0165, 9, 41) == 17);
  CHECK(repetitions(1e9, 0.5, 9, 41) == 9);
  CHECK(repetitions(0.001, 0.5, 9, 41) == 41);
  CHECK(repetitions(0, 0.5, 9, 41) == 41);
}

TEST_CASE("Every turn runs each once, and no one always after the same") {
  constexpr std::size_t kCount = 5;
  std::set<std::pair<std::size_t, std::size_t>> neighbours;
  std::set<std::size_t> first;
  for (std::size_t turn = 0; turn < 2 * kCount; ++turn) {
    std::vector<std::size_t> order = order_of_turn(kCount, turn);
    first.insert(order.front());
    for (std::size_t i = 1; i < kCount; ++i) neighbours.insert({order[i - 1], order[i]});
    std::sort(order.begin(), order.end());
    CHECK(order == std::vector<std::size_t>{0, 1, 2, 3, 4});
  }
  CHECK(first.size() == kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::size_t next = (i + 1) % kCount;
    CHECK(neighbours.count({i, next}) == 1);
    CHECK(neighbours.count({next, i}) == 1);
  }
}

TEST_CASE("Drift falls on all that are timed in turns alike") {
  // A clock that gets slower with every call; two kinds of work, one twice as long.
  double drift = 1;
  const auto work = [&](double us) {
    return [&drift, us] {
      drift += 0.01;
      return us * drift;
    };
  };
  const auto samples = time_in_turns({work(10), work(20)}, 40);
  REQUIRE(samples.size() == 2);
  CHECK(samples[0].size() == 40);
  CHECK(samples[1].size() == 40);
  CHECK(summarize(samples[1]).median / summarize(samples[0]).median == Approx(2).epsilon(0.01));
}
