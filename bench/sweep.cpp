#include "bench/sweep.hpp"

namespace ropejit::bench {

Progress run_sweep(const std::vector<Cell>& cells, const Sweep& sweep) {
  Progress progress;
  const double start = sweep.seconds();
  for (const Cell& cell : cells) {
    if (sweep.done(cell)) {
      ++progress.skipped;
    } else if (sweep.budget && sweep.seconds() - start >= *sweep.budget) {
      ++progress.left;
    } else {
      sweep.measure(cell);
      ++progress.measured;
    }
  }
  return progress;
}

}  // namespace ropejit::bench
