#include "bench/sweep.hpp"

#include <set>
#include <stdexcept>

#include "bench/cells.hpp"
#include "support/catch.hpp"

using namespace ropejit::bench;

namespace {

/// Cells take `cost` seconds each by a clock that nothing else moves.
struct Machine {
  double now = 1000;
  double cost = 10;
  std::vector<std::int64_t> measured;
  std::set<std::int64_t> done;

  Sweep sweep(std::optional<double> budget) {
    Sweep sweep;
    sweep.seconds = [this] { return now; };
    sweep.done = [this](const Cell& cell) { return done.count(cell.tokens) != 0; };
    sweep.measure = [this](const Cell& cell) {
      measured.push_back(cell.tokens);
      now += cost;
    };
    sweep.budget = budget;
    return sweep;
  }
};

std::vector<Cell> five_cells() { return at_tokens({cells_of("quick").front()}, {1, 2, 3, 4, 5}); }

}  // namespace

TEST_CASE("A sweep stops after the cell in which its time is up, and says what is left") {
  struct Row {
    std::optional<double> budget;
    std::size_t measured, left;
  };
  const Row rows[] = {{std::nullopt, 5, 0}, {0, 0, 5}, {1, 1, 4}, {10, 1, 4}, {10.5, 2, 3}, {45, 5, 0}, {1000, 5, 0}};
  for (const Row& row : rows) {
    Machine machine;
    const Progress progress = run_sweep(five_cells(), machine.sweep(row.budget));
    CAPTURE(row.budget.value_or(-1));
    CHECK(progress.measured == row.measured);
    CHECK(progress.left == row.left);
    CHECK(progress.skipped == 0);
    CHECK(machine.measured.size() == row.measured);
  }
}

TEST_CASE("Cells that are done cost no time and are not measured again") {
  Machine machine;
  machine.done = {1, 2, 4};
  const Progress progress = run_sweep(five_cells(), machine.sweep(5));
  CHECK(machine.measured == std::vector<std::int64_t>{3});
  CHECK(progress.skipped == 3);
  CHECK(progress.measured == 1);
  CHECK(progress.left == 1);
}

TEST_CASE("Runs with a budget, one after the other, measure every cell once") {
  Machine machine;
  std::size_t runs = 0;
  for (Progress progress{0, 0, 1}; progress.left != 0; ++runs) {
    progress = run_sweep(five_cells(), machine.sweep(15));
    machine.done = {machine.measured.begin(), machine.measured.end()};
    REQUIRE(runs < 10);
  }
  CHECK(runs == 3);
  CHECK(machine.measured == std::vector<std::int64_t>{1, 2, 3, 4, 5});
}

TEST_CASE("What a cell throws ends the sweep") {
  Machine machine;
  Sweep sweep = machine.sweep(std::nullopt);
  sweep.measure = [](const Cell&) { throw std::runtime_error("no memory"); };
  CHECK_THROWS_AS(run_sweep(five_cells(), sweep), std::runtime_error);
}
