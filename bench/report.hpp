// Tables, in Markdown, of what sweeps found.
#pragma once

#include <string>
#include <vector>

#include "bench/results.hpp"

namespace ropejit::bench {

/// What the records of a cell say, over all that was selected. Where a cell was measured several times, the last
/// counts.
struct CellSummary {
  std::string cell;
  std::int64_t tokens = 0;
  std::string l2;
  std::int64_t bytes = 0;
  double floor_us = 0;  ///< that the best was measured with
  double spread = 0;    ///< of the best: median absolute deviation over median
  std::string floor;
  std::string best;
  double best_ratio = 0;
  std::string untuned;  ///< empty: not among what was measured
  double untuned_ratio = 0;

  double over_best() const { return untuned_ratio / best_ratio; }
};
std::vector<CellSummary> summarize_cells(const std::vector<Record>& records);

/// A table a class of size, worst cells first; then layouts against each other, exact angles against tables, and how
/// many cells meet each target.
std::string report(const std::vector<Record>& records);

}  // namespace ropejit::bench
