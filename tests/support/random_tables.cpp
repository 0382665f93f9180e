#include "support/random_tables.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <set>

#include "support/cache_list.hpp"
#include "support/random_spec.hpp"

namespace ropejit::test {
namespace {

constexpr std::int64_t kMostPlace = 40;

bool one_in(std::mt19937_64& random, std::uint64_t chances) { return random() % chances == 0; }
std::int64_t up_to(std::mt19937_64& random, std::int64_t most) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
}

/// One operand's table and cache.
struct Cache {
  CacheRows& kind;
  TableLists& table;
  std::int64_t& block_size;
  std::int64_t& cache_rows;
  const Operand& operand;
};

void make_table(std::mt19937_64& random, Cache cache, std::int64_t requests) {
  constexpr std::int64_t kMostElements = 1 << 13;  // of a page
  cache.kind = one_in(random, 2) ? CacheRows::page_lists : CacheRows::block_table;
  if (cache.block_size * cache.operand.heads * cache.operand.head_dim > kMostElements) cache.block_size = 3;
  std::vector<std::int64_t> counts;
  for (std::int64_t r = 0; r < requests; ++r) counts.push_back(up_to(random, kMostPlace / cache.block_size + 1));
  const std::int64_t all = std::max<std::int64_t>(1, std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  const std::int64_t pages = all + up_to(random, 2);
  cache.cache_rows = pages * cache.block_size;
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(pages));
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), random);
  for (std::int32_t& number : numbers) {
    if (one_in(random, 12)) number = one_in(random, 3) ? INT32_MIN : -1;
    if (one_in(random, 20)) number = static_cast<std::int32_t>(one_in(random, 3) ? INT32_MAX : pages);
  }
  TableLists& table = cache.table;
  table = {};
  table.requests = requests;
  if (cache.kind == CacheRows::page_lists) {
    table.pages.assign(numbers.begin(), numbers.begin() + all);
    table.entries = all;
    table.first_entries = {0};
    for (const std::int64_t count : counts) {
      table.first_entries.push_back(table.first_entries.back() + static_cast<std::int32_t>(count));
    }
    if (one_in(random, 3)) return;
    for (std::int64_t r = 0; r < requests; ++r) {
      table.last_page_lengths.push_back(static_cast<std::int32_t>(up_to(random, cache.block_size + 1)));
    }
    return;
  }
  table.entries = std::max<std::int64_t>(1, *std::max_element(counts.begin(), counts.end()));
  const std::int64_t row = table.entries + up_to(random, 2);
  if (row != table.entries || one_in(random, 2)) table.row_stride = row;
  std::size_t next = 0;
  for (std::int64_t r = 0; r < requests; ++r) {
    for (std::int64_t entry = 0; entry < row; ++entry) {
      table.pages.push_back(entry < counts[static_cast<std::size_t>(r)] ? numbers[next++] : -1);
    }
  }
}

// Whether two tokens have one place.
bool has_twice(const CacheList& list, std::int64_t tokens) {
  std::set<std::int64_t> seen;
  for (std::int64_t token = 0; token < tokens && is_page_table(list.kind); ++token) {
    if (list.has_row(token) && !seen.insert(list.row(token)).second) return true;
  }
  return false;
}

}  // namespace

void set_page_tables(std::mt19937_64& random, NumericCase& given) {
  constexpr TokenPlaces kPlaces[] = {TokenPlaces::positions, TokenPlaces::ids32, TokenPlaces::ids64};
  const bool of_k = has_slots(given.form.k_rows);
  const bool of_v = has_slots(given.form.v_rows);
  if (!of_k && !of_v) return;
  const std::int64_t tokens = given.batch * given.tokens;
  std::int64_t requests = 1 + up_to(random, 3);
  if (one_in(random, 2)) {
    given.form.token_requests = TokenRequests::ids32;
    for (std::int64_t token = 0; token < tokens; ++token) {
      given.token_requests.push_back(up_to(random, requests - 1));
      if (one_in(random, 10)) given.token_requests.back() = one_in(random, 3) ? INT32_MIN : -1;
      if (one_in(random, 20)) given.token_requests.back() = one_in(random, 3) ? INT32_MAX : requests;
    }
  } else {
    const bool ragged = given.form.positions == PositionSource::ragged;
    const std::int64_t sequences = ragged ? static_cast<std::int64_t>(given.cu_seqlens.size()) - 1 : given.batch;
    requests = std::max<std::int64_t>(1, sequences - (one_in(random, 4) ? 1 : 0));
  }
  given.form.token_places = pick(random, kPlaces);
  if (given.form.token_places == TokenPlaces::positions) {
    for (std::int64_t& position : given.positions) position %= kMostPlace;
  } else {
    for (std::int64_t token = 0; token < tokens; ++token) {
      given.token_places.push_back(up_to(random, kMostPlace));
      if (one_in(random, 10)) given.token_places.back() = -1 - up_to(random, 2);
      if (one_in(random, 20)) given.token_places.back() = INT32_MAX - up_to(random, 2);
    }
  }
  if (of_k) {
    make_table(random, {given.form.k_rows, given.k_table, given.k_block_size, given.k_cache_rows, *given.spec.k},
               requests);
  }
  if (of_v && of_k && one_in(random, 2)) {
    given.form.v_rows = given.form.k_rows;
    given.v_table = given.k_table;
    given.v_block_size = given.k_block_size;
    given.v_cache_rows = given.k_cache_rows;
  } else if (of_v) {
    make_table(random, {given.form.v_rows, given.v_table, given.v_block_size, given.v_cache_rows, *given.spec.v},
               requests);
  }
  if (!has_twice(list_of_k(given), tokens) && !has_twice(list_of_v(given), tokens)) return;
  given.form.token_places = TokenPlaces::ids64;
  given.token_places.resize(static_cast<std::size_t>(tokens));
  std::iota(given.token_places.begin(), given.token_places.end(), std::int64_t{0});
  std::shuffle(given.token_places.begin(), given.token_places.end(), random);
}

}  // namespace ropejit::test
