// The loop over cells: leaves out those that are done, and stops in time. Knows no device and no clock of its own.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "bench/cells.hpp"

namespace ropejit::bench {

struct Progress {
  std::size_t measured = 0;
  std::size_t skipped = 0;  ///< done before
  std::size_t left = 0;     ///< neither: the time was up
};

struct Sweep {
  std::function<double()> seconds;  ///< a clock that only goes forward
  std::function<bool(const Cell&)> done;
  std::function<void(const Cell&)> measure;
  std::optional<double> budget;  ///< seconds; a cell that has begun is finished. None: no limit
};

/// Every cell in order, until the budget is spent. Whatever measure throws ends it.
Progress run_sweep(const std::vector<Cell>& cells, const Sweep& sweep);

}  // namespace ropejit::bench
