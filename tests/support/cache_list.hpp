// The rows of a cache, or its slots, that the tokens of an operand of a NumericCase go to, and the list as it lies in
// memory. Slots that a page table comes to are in table_slots.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "support/numeric_case.hpp"
#include "support/table_slots.hpp"

namespace ropejit::test {

inline bool has_slots(CacheRows kind) { return kind == CacheRows::slots32 || kind == CacheRows::slots64; }
inline bool has_pages(CacheRows kind) { return has_slots(kind) || is_page_table(kind); }
inline bool has_32_bits(CacheRows kind) { return kind == CacheRows::rows32 || kind == CacheRows::slots32; }

/// The rows of a cache that tokens of an operand go to.
struct CacheList {
  CacheRows kind = CacheRows::none;  // none: to its own tokens
  std::vector<std::int64_t> rows = {};
  std::int64_t cache_rows = 0;
  // Of slots.
  std::int64_t block_size = 0;
  std::int64_t count = kEveryToken;
  std::int64_t stride = 1;

  bool is_beyond_count(std::int64_t token) const { return has_pages(kind) && count != kEveryToken && token >= count; }
  std::int64_t row(std::int64_t token) const { return rows[static_cast<std::size_t>(token)]; }
  bool has_row(std::int64_t token) const {
    return !is_beyond_count(token) && row(token) >= 0 && row(token) < cache_rows;
  }
  /// Whether kNoCacheRow says of the token that its row is none.
  bool is_reported(std::int64_t token) const {
    const std::int64_t least = has_pages(kind) ? INT64_MIN : -1;
    return !is_beyond_count(token) && (row(token) < least || row(token) >= cache_rows);
  }
};

inline CacheList list_of_k(const NumericCase& given) {
  const bool is_table = is_page_table(given.form.k_rows);
  return {given.form.k_rows,  is_table ? slots_of_k(given) : given.k_rows,
          given.k_cache_rows, given.k_block_size,
          given.k_slot_count, given.k_slot_stride};
}
inline CacheList list_of_v(const NumericCase& given) {
  const bool is_table = is_page_table(given.form.v_rows);
  return {given.form.v_rows,  is_table ? slots_of_v(given) : given.v_rows,
          given.v_cache_rows, given.v_block_size,
          given.v_slot_count, given.v_slot_stride};
}

/// The list as it lies in memory: what nobody is to read are places that no token has, if there is one.
inline std::vector<std::int64_t> in_memory(const CacheList& list) {
  const std::vector<std::int64_t>& rows = list.rows;
  if (!has_slots(list.kind) || rows.empty()) return rows;
  std::int64_t spare = 0;
  while (std::find(rows.begin(), rows.end(), spare) != rows.end()) ++spare;
  if (spare >= list.cache_rows) spare = 0;
  std::vector<std::int64_t> memory((rows.size() - 1) * static_cast<std::size_t>(list.stride) + 1, spare);
  for (std::size_t i = rows.size(); i-- > 0;) memory[i * static_cast<std::size_t>(list.stride)] = rows[i];
  return memory;
}

}  // namespace ropejit::test
