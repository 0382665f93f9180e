#include "tune/turns.hpp"

#include "tune/statistics.hpp"

namespace ropejit::internal {

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
