// Where a token goes in a cache of pages that a table names: its request and its place there, the page, and the slot
// that comes of them. What is read is within the lists, whatever numbers are in them.
#pragma once

#include "positions.cuh"

namespace ropejit {

struct TokenInRequest {
  i64 request;  // negative: none
  i64 place;    // likewise
};

// `counts`: the token is among those that have a place at all; of others no list is read.
template <TokenRequests requests, TokenPlaces places>
__device__ __forceinline__ TokenInRequest token_in_request(const PageTableLine& table, bool counts, u32 number,
                                                           u32 sequence, i64 position) {
  if (!counts) return {-1, -1};
  TokenInRequest token{sequence, position};
  if constexpr (requests == TokenRequests::ids32) token.request = load_position32(table.token_requests, number);
  if constexpr (places == TokenPlaces::ids32) token.place = load_position32(table.token_places, number);
  if constexpr (places == TokenPlaces::ids64) token.place = load_position64(table.token_places, number);
  return token;
}

// What a table has of a token.
struct TablePage {
  i64 number;    // of the page; negative: none
  i64 place;     // in it
  bool is_none;  // the token has no request, or no place there
  bool exists;   // the table has an entry for it, which `number` is
};

// Whatever the token is, an entry is read, and nothing branches: loads of elements that were asked for before would
// move down behind a branch. Unsigned arithmetic, as numbers that
// are no places may overflow on the way.
template <bool is_lists>
__device__ __forceinline__ TablePage look_up_page(const PageTableLine& table, const LongDivisor& size,
                                                  const TokenInRequest& token) {
  const u64 place = static_cast<u64>(token.place);
  const u64 block = size.multiplier == 0 ? place : multiply_high(place, size.multiplier) >> size.shift;
  TablePage page{};
  page.place = static_cast<i64>(place - block * static_cast<u64>(size.divisor));
  page.is_none = token.request < 0 || token.place < 0;
  page.exists = !page.is_none && token.request < table.requests;
  i64 entry = 0;
  if constexpr (is_lists) {
    const i64 request = page.exists ? token.request : 0;
    const i64 first = load_position32(table.first_entries, request);
    const i64 end = load_position32(table.first_entries, request + 1);
    entry = static_cast<i64>(static_cast<u64>(first) + block);
    page.exists = page.exists && first >= 0 && static_cast<i64>(block) < end - first && entry < table.entries;
    if (table.last_lengths != nullptr) {
      const i64 length = load_position32(table.last_lengths, request);
      page.exists = page.exists && (entry + 1 < end || page.place < length);
    }
  } else {
    page.exists = page.exists && static_cast<i64>(block) < table.entries;
    entry = static_cast<i64>(static_cast<u64>(token.request) * static_cast<u64>(table.row_stride) + block);
  }
  page.number = load_position32(table.pages, page.exists ? entry : 0);
  return page;
}

// The slot that comes of it; -1 where there is none in silence, and the capacity, which is no slot, where one is
// missing.
__device__ __forceinline__ i64 slot_of_page(const OperandLines& pages, const TablePage& page) {
  if (page.is_none || (page.exists && page.number < 0)) return -1;
  return page.exists ? page.number * pages.block_size.divisor + page.place : pages.capacity;
}

// Elements from the beginning of the pages to the place. For what is no slot they mean nothing.
__device__ __forceinline__ i64 place_in_page(const OperandLines& pages, const TablePage& page) {
  return static_cast<i64>(static_cast<u64>(page.number) * static_cast<u64>(pages.page_stride) +
                          static_cast<u64>(page.place) * static_cast<u64>(pages.out_token));
}

}  // namespace ropejit
