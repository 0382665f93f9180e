// The search for the fastest of many, by successive halving: everyone is timed a little, the slower half goes, the rest
// is timed more. Pure: time and samples come from outside.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "tune/statistics.hpp"

namespace ropejit::internal {

/// Something to be timed.
struct Contestant {
  std::string name;
  /// One sample, in microseconds. May throw Error: the contestant is out then.
  std::function<double()> us;
};

struct SearchOptions {
  double budget_s = 1e9;  ///< wall time. When it is over, whoever leads has won
  /// Contestants whose medians differ by no more than this part are equal, and the simpler one wins: so that two runs
  /// choose alike.
  double tie = 0.012;
  std::size_t finalists = 6;  ///< so many, and whoever ties with the best of them
  int least_turns = 7;        ///< samples of a finalist
  int most_turns = 41;
  std::function<double()> seconds;  ///< a clock. One that steps back costs no more than the time it took back
};

struct Rated {
  std::size_t contestant = 0;
  Summary us;
};

struct SearchResult {
  /// The contestants with samples, fastest first; the finalists before the others. The winner need not be the first: it
  /// may be a simpler one, within the tie.
  std::vector<Rated> rated;
  std::size_t winner = 0;             ///< place in `rated`; no meaning where that is empty
  bool out_of_time = false;           ///< the budget ended the search
  std::vector<std::string> problems;  ///< a line for each contestant that threw

  const Rated& best() const { return rated[winner]; }
};

/// `contestants` are in order of simplicity, simplest first. `samples`: what was measured of each before; may be
/// empty. Where there is any, a budget of nothing is settled by it.
SearchResult search(const std::vector<Contestant>& contestants, const SearchOptions& options,
                    std::vector<std::vector<double>> samples = {});

}  // namespace ropejit::internal
