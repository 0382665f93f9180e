#include "bench/shards.hpp"

#include <map>
#include <set>

#include "ropejit/error.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::bench;

TEST_CASE("Shards share out all cells, each once, and no case to two shards") {
  for (const char* set : {"quick", "gate", "full"}) {
    const std::vector<Cell> cells = cells_of(set);
    for (const std::int64_t count : {1, 2, 7, 1000}) {
      std::map<std::string, std::set<std::int64_t>> shards_of_case;
      std::map<std::pair<std::string, std::int64_t>, int> times;
      for (std::int64_t number = 1; number <= count; ++number) {
        for (const Cell& cell : cells_of_shard(cells, {number, count})) {
          ++times[{cell.what.name(), cell.tokens}];
          shards_of_case[cell.what.name()].insert(number);
        }
      }
      CAPTURE(set, count);
      CHECK(times.size() == cells.size());
      for (const auto& [cell, number] : times) CHECK(number == 1);
      for (const auto& [name, shards] : shards_of_case) CHECK(shards.size() == 1);
    }
  }
}

TEST_CASE("Shards of a large set are of like size") {
  const std::vector<Cell> cells = cells_of("full");
  for (std::int64_t number = 1; number <= 8; ++number) {
    const std::size_t size = cells_of_shard(cells, {number, 8}).size();
    CHECK(size >= cells.size() / 8 - 18);
    CHECK(size <= cells.size() / 8 + 18);
  }
}

TEST_CASE("A shard is written I/N") {
  CHECK(parse_shard("1/1").count == 1);
  CHECK(parse_shard("3/8").number == 3);
  CHECK(parse_shard("3/8").count == 8);
  for (const char* text : {"", "1", "/", "0/4", "5/4", "-1/4", "1/4x", "1/ 4", "a/b", "1/0", "1/99999999999"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_shard(text), Error);
  }
}
