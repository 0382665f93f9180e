// A set cut into parts for several runs, and lists of numbers as the command line has them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "bench/cells.hpp"

namespace ropejit::bench {

struct Shard {
  std::int64_t number = 1;  ///< from 1
  std::int64_t count = 1;
};

/// "2/4". Throws Error.
Shard parse_shard(std::string_view text);

/// The shard's part: whole cases, dealt out in turns, so that each is compiled for in one shard alone.
std::vector<Cell> cells_of_shard(const std::vector<Cell>& cells, const Shard& shard);

}  // namespace ropejit::bench
