// Samples taken in turns, their medians and spread, and who was fastest.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace ropejit::internal {

struct Summary {
  double median = 0;
  double lower = 0;   ///< first quartile
  double upper = 0;   ///< third quartile
  double spread = 0;  ///< median absolute deviation from the median
  std::size_t count = 0;
};

/// Quartiles lie between samples where they must, linearly. All 0 for no samples.
Summary summarize(std::vector<double> samples);

/// The places of the `count` samples with the lowest medians, fastest first. Entries without samples come last.
std::vector<std::size_t> fastest(const std::vector<std::vector<double>>& samples, std::size_t count);

/// How often to repeat so that all together takes about `seconds`, where once takes `once_us`: odd, `least` to `most`.
int repetitions(double once_us, double seconds, int least, int most);

/// The order of turn number `turn` among `count`: each turn begins one further on and runs the other way round, so that
/// nobody always follows the same one.
std::vector<std::size_t> order_of_turn(std::size_t count, std::size_t turn);

/// `work[i]()` runs once and returns its microseconds. Every one runs `turns` times; the samples of work i are at i.
/// One sample of each is taken, then the next of each, so that whatever drifts (clocks, heat, neighbours) falls on all
/// alike.
std::vector<std::vector<double>> time_in_turns(const std::vector<std::function<double()>>& work, int turns);

}  // namespace ropejit::internal
