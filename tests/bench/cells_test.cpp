#include "bench/cells.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "bench/size_class.hpp"
#include "codegen/legality.hpp"
#include "ropejit/error.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::bench;

namespace {

std::set<std::pair<std::string, std::int64_t>> names(const std::vector<Cell>& cells) {
  std::set<std::pair<std::string, std::int64_t>> set;
  for (const Cell& cell : cells) set.insert({cell.what.name(), cell.tokens});
  return set;
}

}  // namespace

TEST_CASE("Every set has each cell once, the cells of a case together, and plans that lower") {
  const std::map<std::string, std::pair<std::size_t, std::size_t>> sizes = {
      {"gate", {95, 110}}, {"quick", {12, 12}}, {"full", {1539, 1539}}, {"prologue", {97, 97}}};
  for (const auto& [set, size] : sizes) {
    const std::vector<Cell> cells = cells_of(set);
    CAPTURE(set);
    CHECK(cells.size() >= size.first);
    CHECK(cells.size() <= size.second);
    CHECK(names(cells).size() == cells.size());
    std::set<std::string> seen;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i > 0 && cells[i].what == cells[i - 1].what) continue;
      CAPTURE(cells[i].what.name());
      CHECK(seen.insert(cells[i].what.name()).second);
      const internal::RotationPlan plan = internal::lower(cells[i].what.spec(), cells[i].what.form());
      CHECK(plan.kernel_class.rotary_dim == cells[i].what.shape.rotary_dim);
      CHECK(!internal::variant_space(plan.kernel_class).empty());
    }
  }
}

TEST_CASE("The gate has cells for each target") {
  const std::vector<Cell> cells = cells_of("gate");
  const auto all = names(cells);
  const auto count = [&](const auto& is) { return std::count_if(cells.begin(), cells.end(), is); };
  for (const SizeClass& size : kSizeClasses) {
    CAPTURE(std::string(size.name));
    CHECK(count([&](const Cell& cell) { return &size_class(cell.bytes()) == &size; }) >= 15);
  }
  for (const Shape& shape : shapes()) {
    CHECK(count([&](const Cell& cell) { return cell.what.shape == shape; }) >= 4);
  }
  for (const Arrangement arrangement : kArrangements) {
    CHECK(count([&](const Cell& cell) { return cell.what.arrangement == arrangement; }) >= 8);
  }
  for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
    CHECK(count([&](const Cell& cell) { return cell.what.dtype == dtype; }) >= 5);
  }
  CHECK(count([](const Cell& cell) { return cell.tokens == 1; }) >= 9);
  CHECK(count([](const Cell& cell) { return cell.tokens >= 65536; }) >= 3);
  // A table is compared with the exact angles of the same cell, a layout with the others.
  std::size_t tables_small = 0;
  std::size_t tables_large = 0;
  for (const Cell& cell : cells) {
    if (!cell.what.table) continue;
    Case exact = cell.what;
    exact.table = false;
    CHECK(all.count({exact.name(), cell.tokens}) == 1);
    ++(cell.bytes() > kTableFree ? tables_large : tables_small);
  }
  CHECK(tables_small >= 3);
  CHECK(tables_large >= 3);
  std::size_t groups = 0;
  for (const Cell& cell : cells) {
    if (cell.what.arrangement != Arrangement::to_split) continue;
    for (const Arrangement other : kArrangements) {
      Case same = cell.what;
      same.arrangement = other;
      CHECK(all.count({same.name(), cell.tokens}) == 1);
    }
    ++groups;
  }
  CHECK(groups >= 6);
}

TEST_CASE("A launch moves the lanes that rotate in place, and all of them out of place") {
  const Case quarter{{64, 64, 96, 24}, Arrangement::split_half, DType::fp16, Placement::in_place};
  Case out = quarter;
  out.placement = Placement::out_of_place;
  CHECK(Cell{quarter, 10}.bytes() == 2 * 10 * 128 * 24 * 2);
  CHECK(Cell{out, 10}.bytes() == 2 * 10 * 128 * 96 * 2);
  CHECK(quarter.name() == "64-64-96r24-split_half-fp16-in");
  const Case table{{1, 0, 1024, 1024}, Arrangement::to_split, DType::fp32, Placement::out_of_place, true};
  CHECK(table.name() == "1-0-1024-to_split-fp32-out-table");
  CHECK(Cell{table, 3}.bytes() == 2 * 3 * 1024 * 4);
}

TEST_CASE("A prologue moves q, k and v, all lanes of them, in place as well") {
  const Case quarter{{32, 8, 128, 64}, Arrangement::split_half, DType::bf16, Placement::in_place, false, true, true};
  CHECK(quarter.name() == "32-8-128r64-split_half-bf16-in-prologue");
  CHECK(Cell{quarter, 10}.bytes() == 2 * 10 * 48 * 128 * 2);
  const internal::RotationPlan plan = internal::lower(quarter.spec(), quarter.form());
  CHECK(plan.kernel_class.is_prologue());
  CHECK(plan.kernel_class.operands.size() == 3);
}

TEST_CASE("A name chooses the case that has it, or those that contain it") {
  const std::vector<Cell> cells = cells_of("quick");
  const auto cases = [&](const char* name) {
    std::set<std::string> found;
    for (const Cell& cell : cells_named(cells, name)) found.insert(cell.what.name());
    return found;
  };
  CHECK(cases("32-8-128-split_half-bf16-in") == std::set<std::string>{"32-8-128-split_half-bf16-in"});
  CHECK(cases("128-split_half-bf16-in") ==
        std::set<std::string>{"32-8-128-split_half-bf16-in", "32-8-128-split_half-bf16-in-table"});
  CHECK_THROWS_AS(cells_named(cells, "nothing"), Error);
  CHECK_THROWS_AS(cells_of("gates"), Error);
}

TEST_CASE("Other token counts replace those of every case, in ascending order and once") {
  const std::vector<Cell> cells = cells_of("quick");
  const std::vector<Cell> moved = at_tokens(cells, {64, 1, 64});
  std::set<std::string> before;
  for (const Cell& cell : cells) before.insert(cell.what.name());
  CHECK(moved.size() == 2 * before.size());
  for (std::size_t i = 0; i < moved.size(); ++i) CHECK(moved[i].tokens == (i % 2 == 0 ? 1 : 64));
}
