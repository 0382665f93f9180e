// Medians and their spread, and who was fastest.
#pragma once

#include <cstddef>
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

}  // namespace ropejit::internal
