#include "tune/statistics.hpp"

#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ropejit::internal {
namespace {

/// The samples are sorted.
double quantile(const std::vector<double>& sorted, double fraction) {
  if (sorted.empty()) return 0;
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

}  // namespace

Summary summarize(std::vector<double> samples) {
  llvm::sort(samples);
  Summary summary{quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75), 0, samples.size()};
  for (double& sample : samples) sample = std::abs(sample - summary.median);
  llvm::sort(samples);
  summary.spread = quantile(samples, 0.5);
  return summary;
}

std::vector<std::size_t> fastest(const std::vector<std::vector<double>>& samples, std::size_t count) {
  std::vector<double> medians;
  for (const std::vector<double>& one : samples) medians.push_back(one.empty() ? HUGE_VAL : summarize(one).median);
  std::vector<std::size_t> places(samples.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  llvm::stable_sort(places, [&](std::size_t a, std::size_t b) { return medians[a] < medians[b]; });
  places.resize(std::min(count, places.size()));
  return places;
}

int repetitions(double once_us, double seconds, int least, int most) {
  const double wanted = once_us > 0 ? std::min(seconds * 1e6 / once_us, 1e6) : static_cast<double>(most);
  const int bounded = std::clamp(static_cast<int>(wanted), least, most);
  return bounded % 2 == 1 || bounded == most ? bounded : bounded + 1;
}

std::vector<std::size_t> order_of_turn(std::size_t count, std::size_t turn) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = (i + turn) % count;
  if (turn % 2 == 1) std::reverse(order.begin(), order.end());
  return order;
}

std::vector<std::vector<double>> time_in_turns(const std::vector<std::function<double()>>& work, int turns) {
  std::vector<std::vector<double>> samples(work.size());
  for (int turn = 0; turn < turns; ++turn) {
    for (const std::size_t i : order_of_turn(work.size(), static_cast<std::size_t>(turn))) {
      samples[i].push_back(work[i]());
    }
  }
  return samples;
}

}  // namespace ropejit::internal
