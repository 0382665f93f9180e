#include "support/table_slots.hpp"

#include <cstddef>

#include "support/token_places.hpp"

namespace ropejit::test {
namespace {

struct Cache {
  CacheRows kind;
  const TableLists& table;
  std::int64_t block_size;
  std::int64_t capacity;
};

std::int64_t request_of(const NumericCase& given, std::int64_t b, std::int64_t s) {
  if (given.form.token_requests == TokenRequests::ids32) {
    return given.token_requests[static_cast<std::size_t>(b * given.tokens + s)];
  }
  return given.form.positions == PositionSource::ragged ? sequence_of(given, s) : b;
}

std::int64_t place_of(const NumericCase& given, std::int64_t b, std::int64_t s) {
  if (given.form.token_places == TokenPlaces::positions) return positions_of(given, b, s)[0];
  return given.token_places[static_cast<std::size_t>(b * given.tokens + s)];
}

std::int64_t slot_of(const Cache& cache, std::int64_t request, std::int64_t place) {
  const TableLists& table = cache.table;
  if (request < 0 || place < 0) return -1;
  if (request >= table.requests) return cache.capacity;
  const std::int64_t block = place / cache.block_size;
  const std::int64_t within = place % cache.block_size;
  std::int64_t entry = 0;
  if (cache.kind == CacheRows::block_table) {
    if (block >= table.entries) return cache.capacity;
    entry = request * (table.row_stride == kContiguous ? table.entries : table.row_stride) + block;
  } else {
    const std::int64_t first = table.first_entries[static_cast<std::size_t>(request)];
    const std::int64_t pages = table.first_entries[static_cast<std::size_t>(request) + 1] - first;
    if (first < 0 || block >= pages || first + block >= table.entries) return cache.capacity;
    if (!table.last_page_lengths.empty() && block + 1 == pages &&
        within >= table.last_page_lengths[static_cast<std::size_t>(request)]) {
      return cache.capacity;
    }
    entry = first + block;
  }
  const std::int64_t page = table.pages[static_cast<std::size_t>(entry)];
  if (page < 0) return -1;
  if (page >= (cache.capacity + cache.block_size - 1) / cache.block_size) return cache.capacity;
  const std::int64_t slot = page * cache.block_size + within;
  return slot < cache.capacity ? slot : cache.capacity;
}

std::vector<std::int64_t> slots_of(const NumericCase& given, const Cache& cache) {
  std::vector<std::int64_t> slots;
  for (std::int64_t b = 0; b < given.batch; ++b) {
    for (std::int64_t s = 0; s < given.tokens; ++s) {
      slots.push_back(slot_of(cache, request_of(given, b, s), place_of(given, b, s)));
    }
  }
  return slots;
}

}  // namespace

std::vector<std::int64_t> slots_of_k(const NumericCase& given) {
  return slots_of(given, {given.form.k_rows, given.k_table, given.k_block_size, given.k_cache_rows});
}

std::vector<std::int64_t> slots_of_v(const NumericCase& given) {
  return slots_of(given, {given.form.v_rows, given.v_table, given.v_block_size, given.v_cache_rows});
}

}  // namespace ropejit::test
