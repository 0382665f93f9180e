// One thread's share of one token: one chunk of the rows of a head group (row_split.cuh), where it is read and written;
// and what every family is made of: load, rotate, store. Operands with further stages go the way of staged.cuh.
#pragma once

#include "operand_params.cuh"
#include "page_table.cuh"
#include "pairs.cuh"
#include "positions.cuh"
#include "table.cuh"

namespace ropejit {

// One thread's share. Its steps from head to head and from word to word are in bytes.
template <KernelConfig C, u32 O>
struct Share {
  u32 group;
  u32 chunk;
  const char* in;  // the chunk's first word in the group's first head
  char* out;
  i64 in_head_step;
  i64 in_word_step;
  i64 out_head_step;
  i64 out_word_step;
};

// The share of an operand that is written beside its cache: where it is written there. Apart from Share, as compilers
// do not forget a member that nobody reads; the same of rows, below.
template <KernelConfig C, u32 O>
struct BesideShare : Share<C, O> {
  bool has_place;  // in the cache
  char* beside;
  i64 beside_head_step;
  i64 beside_word_step;
};
template <KernelConfig C, u32 O, bool is_beside>
struct ShareChoice {
  using Type = Share<C, O>;
};
template <KernelConfig C, u32 O>
struct ShareChoice<C, O, true> {
  using Type = BesideShare<C, O>;
};
template <KernelConfig C, u32 O>
using ShareOf = typename ShareChoice<C, O, C.operand[O].is_written_beside()>::Type;

template <KernelConfig C, u32 O>
__device__ constexpr u32 lanes_per_chunk(Layout layout) {
  return (layout == Layout::interleaved ? 2 : 1) * C.split(O).pairs_per_thread;
}

// The lane at which a chunk begins.
template <KernelConfig C, u32 O>
__device__ __forceinline__ u32 first_lane_of(Layout layout, u32 chunk) {
  constexpr RowSplit row = C.split(O);
  const u32 lane = C.operand[O].first_lane + chunk * lanes_per_chunk<C, O>(layout);
  if (layout != Layout::split_sections) return lane;
  return lane + chunk * row.pairs_per_thread / C.section_pairs * C.section_pairs;
}

// The lane at which word n of those that do not rotate begins: they lie before and after the rotating ones.
template <KernelConfig C, u32 O>
__device__ __forceinline__ u32 still_lane(u32 n) {
  const u32 lane = n * C.split(O).copy_lanes;
  return lane >= C.operand[O].first_lane ? lane + C.rotary_dim : lane;
}

// Lanes from one word of a chunk to the next.
template <KernelConfig C>
__device__ __forceinline__ u32 lanes_between_words(Layout layout, u32 word_lanes) {
  if (layout == Layout::interleaved) return word_lanes;
  return layout == Layout::split_half ? C.pairs() : C.section_pairs;
}

// Strides are in elements; a kernel that knows them at compile time reads none of the arguments.
template <KernelConfig C, u32 O>
__device__ __forceinline__ i64 head_stride(i64 given) {
  return C.strides == Strides::contiguous ? C.operand[O].head_dim : given;
}
// Pages have strides of their own, whatever other tensors do.
template <KernelConfig C, u32 O>
__device__ __forceinline__ i64 out_head_stride(i64 given) {
  return C.operand[O].has_pages() ? given : head_stride<C, O>(given);
}
template <KernelConfig C>
__device__ __forceinline__ i64 lane_stride(i64 given) {
  return C.strides == Strides::any ? given : 1;
}

// What head `head` gains by its group, which adds `each`, beyond its stride; also what so many heads do that are whole
// groups.
template <KernelConfig C, u32 O>
__device__ __forceinline__ i64 gained_by_group(u32 head, i64 each) {
  if constexpr (C.operand[O].group_heads > 0) {
    return head / C.operand[O].group_heads * each;
  } else {
    return 0;
  }
}

// Where a token's lanes begin: head 0, lane 0. Where `out` is null, nothing is written.
struct Rows {
  const char* in;
  char* out;
};

// Of an operand that goes to pages. `out` is where these begin, until find_place. Apart from Rows, as compilers do not
// forget a member that nobody reads.
struct PagedRows : Rows {
  i64 slot;
};
// Of one whose pages a table names: its slot is known once it has_store.
struct TableRows : PagedRows {
  TokenInRequest token;
  TablePage page;
};
template <bool has_pages, bool has_page_table>
struct RowsChoice {
  using Type = Rows;
};
template <>
struct RowsChoice<true, false> {
  using Type = PagedRows;
};
template <>
struct RowsChoice<true, true> {
  using Type = TableRows;
};
template <KernelConfig C, u32 O>
using CachedRows = typename RowsChoice<C.operand[O].has_pages(), C.operand[O].has_page_table()>::Type;

// Of an operand that is written beside its cache: where its lanes begin there. `out` is null where the token has no
// place in the cache, once that is known: it is read and written beside all the same.
template <class Cached>
struct BesideRows : Cached {
  char* beside;
};
template <class Cached, bool is_beside>
struct BesideChoice {
  using Type = Cached;
};
template <class Cached>
struct BesideChoice<Cached, true> {
  using Type = BesideRows<Cached>;
};
template <KernelConfig C, u32 O>
using RowsOf = typename BesideChoice<CachedRows<C, O>, C.operand[O].is_written_beside()>::Type;

// The row of the cache that a token goes to, or -1 where it goes to none.
template <CacheRows kind>
__device__ __forceinline__ i64 cache_row(const LaunchParams& params, const void* rows, const i64& cache_rows,
                                         u32 token) {
  const i64 row = kind == CacheRows::rows32 ? load_position32(rows, token) : load_position64(rows, token);
  if (row >= 0 && row < cache_rows) return row;
  if (row != -1 && params.flags != nullptr) set_bits(params.flags, NoCacheRow);
  return -1;
}

// The slot of a token in a cache of pages; -1 where it has none.
template <CacheRows kind>
__device__ __forceinline__ i64 slot_of(const OperandLines& pages, u32 token) {
  if (token >= pages.slot_count) return -1;
  const i64 at = token * pages.slot_stride;
  return kind == CacheRows::slots32 ? load_position32(pages.slots, at) : load_position64(pages.slots, at);
}

// Elements from the beginning of the pages to the place of a slot. They may be negative, as strides may; for numbers
// that are no slots they mean nothing.
__device__ __forceinline__ i64 place_of_slot(const OperandLines& pages, i64 slot) {
  const LongDivisor& size = pages.block_size;
  const u64 number = static_cast<u64>(slot);
  const u64 page = size.multiplier == 0 ? number : multiply_high(number, size.multiplier) >> size.shift;
  return static_cast<i64>(page * static_cast<u64>(pages.page_stride) +
                          (number - page * static_cast<u64>(size.divisor)) * static_cast<u64>(pages.out_token));
}

// Whether a token is read: all are whose place in a cache is found while their elements are on their way.
template <KernelConfig C, u32 O>
__device__ __forceinline__ bool is_read(const Rows& rows) {
  constexpr OperandConfig shape = C.operand[O];
  if constexpr (shape.rows == CacheRows::none || shape.has_pages() || shape.needs_no_place()) return true;
  return rows.out != nullptr;
}

// For an operand whose pages a table names: asks which request the token belongs to, and where it stands there. Called
// with what positions_of gave, before anything is waited for.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void find_request(const LaunchParams& params, const Token& token, u32 sequence, i64 position,
                                             RowsOf<C, O>& rows) {
  if constexpr (C.operand[O].has_page_table()) {
    rows.token = token_in_request<C.operand[O].requests, C.operand[O].places>(
        table_of<O>(params), token.number < lines_of<O>(params).slot_count, token.number, sequence, position);
  }
}

// The same where positions are not worked out for another reason.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void find_request(const LaunchParams& params, const Token& token, RowsOf<C, O>& rows) {
  constexpr OperandConfig shape = C.operand[O];
  if constexpr (shape.has_page_table()) {
    i64 position[C.axes]{};
    u32 sequence = token.sequence;
    if constexpr (shape.places == TokenPlaces::positions ||
                  (shape.requests == TokenRequests::sequences && C.positions == PositionSource::ragged)) {
      sequence = positions_of<C>(params, token, position);
    }
    find_request<C, O>(params, token, sequence, position[0], rows);
  }
}

// For an operand that goes to pages: where the token goes there. Called once what it is read from is on its way, as
// this waits for the slot. Nothing branches on the slot before that: the assembler moves loads that are used behind a
// branch down behind it, where they would wait for one another.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void find_place(const LaunchParams& params, RowsOf<C, O>& rows) {
  if constexpr (C.operand[O].has_page_table()) {
    // What comes of it is waited for in has_store, as there may be something to do until then.
    rows.page = look_up_page<C.operand[O].rows == CacheRows::page_lists>(table_of<O>(params),
                                                                         lines_of<O>(params).block_size, rows.token);
  } else if constexpr (C.operand[O].has_pages()) {
    const OperandLines& pages = lines_of<O>(params);
    rows.out +=
        static_cast<i64>(static_cast<u64>(place_of_slot(pages, rows.slot)) * bytes_of(C.operand[O].element_out));
  }
}

// False where a token that goes to pages has no place there; of rows of a cache, where all tokens are read, likewise.
template <KernelConfig C, u32 O>
__device__ __forceinline__ bool has_place(const LaunchParams& params, const RowsOf<C, O>& rows) {
  if constexpr (C.operand[O].has_pages()) {
    const i64& capacity = lines_of<O>(params).capacity;
    if (rows.slot >= 0 && rows.slot < capacity) return true;
    if (rows.slot >= capacity && params.flags != nullptr) set_bits(params.flags, NoCacheRow);
    return false;
  }
  if constexpr (C.operand[O].rows != CacheRows::none && C.operand[O].hands_out_statistic()) return rows.out != nullptr;
  return true;
}

// Whether a token whose place was looked for is written anywhere: where it has none, and is written beside the cache,
// there alone.
template <KernelConfig C, u32 O>
__device__ __forceinline__ bool has_store(const LaunchParams& params, RowsOf<C, O>& rows) {
  if constexpr (C.operand[O].has_page_table()) {
    const OperandLines& pages = lines_of<O>(params);
    rows.slot = slot_of_page(pages, rows.page);
    rows.out +=
        static_cast<i64>(static_cast<u64>(place_in_page(pages, rows.page)) * bytes_of(C.operand[O].element_out));
  }
  if constexpr (C.operand[O].is_written_beside()) {
    if (!has_place<C, O>(params, rows)) rows.out = nullptr;
    return true;
  } else {
    return has_place<C, O>(params, rows);
  }
}

// False where the token has no row in the cache, and is not written beside it.
template <KernelConfig C, u32 O>
__device__ __forceinline__ bool is_written(const LaunchParams& params, RowsOf<C, O>& rows) {
  if constexpr (C.operand[O].rows == CacheRows::none) return true;
  if constexpr (C.operand[O].has_pages()) {
    find_place<C, O>(params, rows);
    return has_store<C, O>(params, rows);
  }
  if constexpr (C.operand[O].is_written_beside()) return true;
  return rows.out != nullptr;
}

// Every thread comes here, also one that has nothing to do, once it has asked for lists and steps and before it asks
// for a tensor: were a whole grid to end without it, the next one's wait would not cover the launch before this one.
template <KernelConfig C>
__device__ __forceinline__ void wait_for_tensors() {
  if constexpr (C.overlaps_previous && C.ready_lists) wait_for_last_kernel();
}

// Where a token is read, and where it is written but for what is written beside a cache.
template <KernelConfig C, u32 O>
__device__ __forceinline__ CachedRows<C, O> cached_rows_of(const LaunchParams& params, const Token& token) {
  constexpr OperandConfig shape = C.operand[O];
  constexpr u32 in_bytes = C.element_bytes();
  constexpr u32 out_bytes = bytes_of(shape.element_out);
  const TensorStrides& strides = strides_of<C, O>(params);
  // Byte offsets of the token's first element.
  u64 in = token.number * static_cast<u64>(shape.heads * shape.head_dim * in_bytes);
  u64 out = token.number * static_cast<u64>(shape.heads * shape.head_dim * out_bytes);
  if constexpr (C.strides != Strides::contiguous) {
    in = (token.number * static_cast<u64>(strides.in_token) + token.sequence * static_cast<u64>(strides.in_sequence)) *
         in_bytes;
    out =
        (token.number * static_cast<u64>(strides.out_token) + token.sequence * static_cast<u64>(strides.out_sequence)) *
        out_bytes;
  }
  char* const out_base = output_of<C, O>(params);
  if constexpr (!shape.out_of_place) return {out_base + static_cast<i64>(out), out_base + static_cast<i64>(out)};
  const char* const in_base = input_of<C, O>(params);
  if constexpr (shape.has_page_table()) {
    return {{{in_base + static_cast<i64>(in), out_base}, -1}, {}, {}};
  } else if constexpr (shape.has_pages()) {
    return {{in_base + static_cast<i64>(in), out_base}, slot_of<shape.rows>(lines_of<O>(params), token.number)};
  } else if constexpr (shape.rows != CacheRows::none) {
    wait_for_tensors<C>();  // a row that is none is reported where the launch before may still read
    constexpr u32 cache_row_lanes = shape.heads * shape.head_dim;
    const i64 at = cache_row<shape.rows>(params, row_list_of<O>(params), cache_rows_of<O>(params), token.number);
    if (at < 0) return {shape.needs_no_place() ? in_base + static_cast<i64>(in) : nullptr, nullptr};
    out = at * (C.strides == Strides::contiguous ? cache_row_lanes : strides.out_token) * out_bytes;
  }
  return {in_base + static_cast<i64>(in), out_base + static_cast<i64>(out)};
}

template <KernelConfig C, u32 O>
__device__ __forceinline__ RowsOf<C, O> rows_of(const LaunchParams& params, const Token& token) {
  constexpr OperandConfig shape = C.operand[O];
  if constexpr (shape.is_written_beside()) {
    const BesideStore& beside = beside_of<C, O>(params);
    u64 at = token.number * static_cast<u64>(shape.heads * shape.head_dim);
    if constexpr (C.strides != Strides::contiguous) {
      at = token.number * static_cast<u64>(beside.token) + token.sequence * static_cast<u64>(beside.sequence);
    }
    return {cached_rows_of<C, O>(params, token),
            static_cast<char*>(beside.out) + static_cast<i64>(at * bytes_of(shape.element_out))};
  } else {
    return cached_rows_of<C, O>(params, token);
  }
}

struct HeadsAndLanes {
  i64 offset;  // from the token's first lane to the share's first word; all three are in bytes
  i64 head_step;
  i64 word_step;
};

// `head` and `lane` are strides in elements, and are not read where they are known at compile time, which `known` says;
// `head_group` is what a group of heads adds, of tensors that have such. A thread's heads are then whole groups apart.
template <KernelConfig C, u32 O, bool known>
__device__ __forceinline__ HeadsAndLanes heads_and_lanes(Layout layout, u32 word_lanes, u32 bytes, i64 head,
                                                         i64 head_group, i64 lane, u32 group, u32 chunk) {
  constexpr RowSplit row = C.split(O);
  const u32 first = first_lane_of<C, O>(layout, chunk);
  const u32 between = lanes_between_words<C>(layout, word_lanes);
  if constexpr (known) {
    const u32 head_bytes = C.operand[O].head_dim * bytes;
    return {group * head_bytes + first * bytes, row.groups * head_bytes, between * bytes};
  } else {
    const i64 lane_bytes = lane_stride<C>(lane) * bytes;
    const i64 head_bytes = head * bytes;
    if constexpr (C.operand[O].group_heads > 0) {
      const i64 each = head_group * bytes;
      return {group * head_bytes + gained_by_group<C, O>(group, each) + first * lane_bytes,
              row.groups * head_bytes + gained_by_group<C, O>(row.groups, each), between * lane_bytes};
    }
    return {group * head_bytes + first * lane_bytes, row.groups * head_bytes, between * lane_bytes};
  }
}

// Elements from a head's first lane to another where lanes are written in groups.
template <KernelConfig C, u32 O>
__device__ __forceinline__ i64 to_split_lane(const LaunchParams& params, u32 lane) {
  constexpr u32 split = C.operand[O].split_lanes;
  return lane / split * split_stride_of(params) + lane % split;
}

// heads_and_lanes of what is written there. A word lies in one group, and a chunk has two words at most.
template <KernelConfig C, u32 O>
__device__ __forceinline__ HeadsAndLanes split_heads_and_lanes(const LaunchParams& params, i64 head, u32 group,
                                                               u32 chunk) {
  constexpr RowSplit row = C.split(O);
  constexpr u32 bytes = bytes_of(C.operand[O].element_out);
  const u32 first = first_lane_of<C, O>(C.layout_out, chunk);
  const u32 second = first + lanes_between_words<C>(C.layout_out, row.out_word_lanes);
  const i64 at = to_split_lane<C, O>(params, first);
  return {(group * head + at) * bytes, row.groups * head * bytes, (to_split_lane<C, O>(params, second) - at) * bytes};
}

// A chunk's share but for what is written beside a cache.
template <KernelConfig C, u32 O>
__device__ __forceinline__ Share<C, O> cached_share_of(const LaunchParams& params, const Rows& rows, u32 group,
                                                       u32 chunk) {
  constexpr RowSplit row = C.split(O);
  const TensorStrides& strides = strides_of<C, O>(params);
  constexpr bool known = C.strides == Strides::contiguous;
  constexpr bool known_out = known && !C.operand[O].has_pages();
  const GroupStrides groups = groups_of<C, O>(params);
  HeadsAndLanes to{};
  if constexpr (C.operand[O].split_lanes > 0) {
    to = split_heads_and_lanes<C, O>(params, strides.out_head, group, chunk);
  } else {
    to = heads_and_lanes<C, O, known_out>(C.layout_out, row.out_word_lanes, bytes_of(C.operand[O].element_out),
                                          strides.out_head, groups.out, strides.out_lane, group, chunk);
  }
  char* const out = rows.out + to.offset;
  if constexpr (!C.operand[O].out_of_place && C.layout == C.layout_out) {
    return {group, chunk, out, out, to.head_step, to.word_step, to.head_step, to.word_step};
  }
  const HeadsAndLanes from = heads_and_lanes<C, O, known>(C.layout, row.word_lanes, C.element_bytes(), strides.in_head,
                                                          groups.in, strides.in_lane, group, chunk);
  return {group, chunk, rows.in + from.offset, out, from.head_step, from.word_step, to.head_step, to.word_step};
}

// The share of one chunk of a head group. Threads that go by rows ask for each of their chunks anew.
template <KernelConfig C, u32 O>
__device__ __forceinline__ ShareOf<C, O> share_of(const LaunchParams& params, const RowsOf<C, O>& rows, u32 group,
                                                  u32 chunk) {
  if constexpr (C.operand[O].is_written_beside()) {
    const BesideStore& beside = beside_of<C, O>(params);
    const HeadsAndLanes to = heads_and_lanes<C, O, C.strides == Strides::contiguous>(
        C.layout_out, C.split(O).out_word_lanes, bytes_of(C.operand[O].element_out), beside.head, 0, beside.lane, group,
        chunk);
    return {cached_share_of<C, O>(params, rows, group, chunk), rows.out != nullptr, rows.beside + to.offset,
            to.head_step, to.word_step};
  } else {
    return cached_share_of<C, O>(params, rows, group, chunk);
  }
}

// Where head h of a share is written beside the cache. Whoever stores words of it stores each there and, where the
// share has a place, in the cache, one after the other: in functions that both stores call, compilers would give the
// registers of operands that have no such store other numbers.
template <KernelConfig C, u32 O>
__device__ __forceinline__ char* beside_of_head(const BesideShare<C, O>& share, u32 h) {
  return share.beside + h * share.beside_head_step;
}

// Where a lane of a head is written beside the cache.
template <KernelConfig C, u32 O>
__device__ __forceinline__ char* beside_at(const LaunchParams& params, const RowsOf<C, O>& rows, u32 head, u32 lane) {
  constexpr u32 bytes = bytes_of(C.operand[O].element_out);
  const BesideStore& beside = beside_of<C, O>(params);
  return rows.beside + head * head_stride<C, O>(beside.head) * bytes + lane * lane_stride<C>(beside.lane) * bytes;
}

// Whether head h of the thread's group exists; known beforehand where heads_per_thread divides the head count.
template <KernelConfig C, u32 O>
__device__ __forceinline__ bool has_head(const Share<C, O>& share, u32 h) {
  constexpr RowSplit row = C.split(O);
  if constexpr (C.operand[O].heads % row.heads_per_thread == 0) return true;
  return share.group + h * row.groups < C.operand[O].heads;
}

template <KernelConfig C, u32 O>
using HeldWords = Word<C.access_bytes>[C.split(O).heads_per_thread][C.split(O).words_per_thread];

// Callers name C and O of these two: NVRTC 13.5 does not deduce them where the layout changes in place.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void load_share(const Share<C, O>& share, HeldWords<C, O>& word) {
  constexpr RowSplit row = C.split(O);
#pragma unroll
  for (u32 h = 0; h < row.heads_per_thread; ++h) {
    if (has_head<C, O>(share, h)) {
#pragma unroll
      for (u32 w = 0; w < row.words_per_thread; ++w) {
        word[h][w] = load_word<C.access_bytes>(share.in + h * share.in_head_step + w * share.in_word_step);
      }
    }
  }
}

// Rotates what was loaded, and writes it.
template <KernelConfig C, u32 O, u32 pairs>
__device__ __forceinline__ void store_share(const ShareOf<C, O>& share, const HeldWords<C, O>& word,
                                            const CosSin (&turn)[pairs], bool padded) {
  constexpr RowSplit row = C.split(O);
  constexpr Element out = C.operand[O].element_out;
#pragma unroll
  for (u32 h = 0; h < row.heads_per_thread; ++h) {
    if (has_head<C, O>(share, h)) {
      char* const at = share.out + h * share.out_head_step;
      // Words that stay as they are are not unpacked: a NaN would lose its payload.
      if constexpr (C.padding == Padding::keep && C.layout_out == C.layout && out == C.element) {
        if (padded) {
#pragma unroll
          for (u32 w = 0; w < row.words_per_thread; ++w) {
            if constexpr (C.operand[O].is_written_beside()) {
              store_word(beside_of_head<C, O>(share, h) + w * share.beside_word_step, word[h][w]);
              if (!share.has_place) continue;
            }
            store_word(at + w * share.out_word_step, word[h][w]);
          }
          continue;
        }
      }
      float read[2 * pairs];
      float written[2 * pairs];
      for (u32 w = 0; w < row.words_per_thread; ++w) unpack<C.element>(word[h][w], read, w * row.word_lanes);
      rotate<C>(read, turn, padded, written);
#pragma unroll
      for (u32 w = 0; w < row.out_words_per_thread; ++w) {
        if constexpr (C.operand[O].is_written_beside()) {
          store_lanes<out, row.out_word_lanes, C.access_bytes>(
              beside_of_head<C, O>(share, h) + w * share.beside_word_step, written, w * row.out_word_lanes);
          if (!share.has_place) continue;
        }
        store_lanes<out, row.out_word_lanes, C.access_bytes>(at + w * share.out_word_step, written,
                                                             w * row.out_word_lanes);
      }
    }
  }
}

template <KernelConfig C>
__device__ __forceinline__ bool is_padding(const i64 (&position)[C.axes]) {
  return C.padding != Padding::rotate && position[0] < 0;
}

// The steps of the share's own pairs, of kernels that have any.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ Steps<pairs> steps_of_share(const LaunchParams& params, const PlanData& data, u32 chunk) {
  if constexpr (C.has_steps()) return load_steps<pairs>(params, data, chunk * pairs);
  return {};
}

// The turns of the share's own pairs.
template <KernelConfig C, u32 pairs>
__device__ __forceinline__ void turns_of_share(const LaunchParams& params, const PlanData& data, const Token& token,
                                               const i64 (&position)[C.axes], const Steps<pairs>& steps, u32 chunk,
                                               CosSin (&turn)[pairs]) {
  if constexpr (C.has_steps()) {
    computed_turns<C>(position, data, steps, chunk * pairs, turn);
  } else if (!is_padding<C>(position)) {
    table_turns<C>(params, token.sequence, position, data, chunk * pairs, turn);
  } else {
    for (u32 i = 0; i < pairs; ++i) turn[i] = {1.0f, 0.0f};
  }
}

// Stores a word of lanes that are copied. A word that keeps its dtype is not unpacked: a NaN would lose its payload.
template <KernelConfig C, u32 O, u32 lanes>
__device__ __forceinline__ void store_still_lanes(char* at, const Word<lanes * C.element_bytes()>& word) {
  constexpr Element out = C.operand[O].element_out;
  if constexpr (out == C.element) {
    store_word(at, word);
  } else {
    float lane[lanes];
    unpack<C.element>(word, lane, 0);
    store_lanes<out, lanes, C.access_bytes>(at, lane, 0);
  }
}

// Copies the lanes of a token that do not rotate: words item, item + items, ... of all its heads', so that neighbouring
// threads copy neighbouring words. Called while elements that were asked for before are on their way.
template <KernelConfig C, u32 O>
__device__ __forceinline__ void copy_still_lanes(const LaunchParams& params, const RowsOf<C, O>& rows, u32 item) {
  constexpr RowSplit row = C.split(O);
  if constexpr (row.still_words > 0) {
    if constexpr (C.operand[O].is_written_beside() && !C.operand[O].writes_whole_rows_beside()) {
      if (rows.out == nullptr) return;
    }
    constexpr u32 in_bytes = C.element_bytes();
    constexpr u32 out_bytes = bytes_of(C.operand[O].element_out);
    constexpr u32 bytes = row.copy_lanes * in_bytes;
    constexpr u32 items = C.block(O).items;
    constexpr u32 words = C.operand[O].heads * row.still_words;
    constexpr u32 each = copies_of_thread(row, C.operand[O].heads, C.block(O));
    constexpr u32 together = copies_in_flight(each);
    const TensorStrides& strides = strides_of<C, O>(params);
    const i64 in_head = head_stride<C, O>(strides.in_head) * in_bytes;
    const i64 in_lane = lane_stride<C>(strides.in_lane) * in_bytes;
    const i64 out_head = out_head_stride<C, O>(strides.out_head) * out_bytes;
    const i64 out_lane = lane_stride<C>(strides.out_lane) * out_bytes;
    const GroupStrides groups = groups_of<C, O>(params);
    const auto copy_from = [&](u32 first) {
      Word<bytes> word[together];
#pragma unroll
      for (u32 i = 0; i < together; ++i) {
        const u32 n = item + (first + i) * items;
        if ((words % items == 0 && each % together == 0) || n < words) {
          word[i] = load_word<bytes>(rows.in + n / row.still_words * in_head +
                                     gained_by_group<C, O>(n / row.still_words, groups.in * in_bytes) +
                                     still_lane<C, O>(n % row.still_words) * in_lane);
        }
      }
#pragma unroll
      for (u32 i = 0; i < together; ++i) {
        const u32 n = item + (first + i) * items;
        if ((words % items == 0 && each % together == 0) || n < words) {
          if constexpr (C.operand[O].writes_whole_rows_beside()) {
            store_still_lanes<C, O, row.copy_lanes>(
                beside_at<C, O>(params, rows, n / row.still_words, still_lane<C, O>(n % row.still_words)), word[i]);
            if (rows.out == nullptr) continue;
          }
          char* at = rows.out + n / row.still_words * out_head +
                     gained_by_group<C, O>(n / row.still_words, groups.out * out_bytes);
          if constexpr (C.operand[O].split_lanes > 0) {
            at += to_split_lane<C, O>(params, still_lane<C, O>(n % row.still_words)) * out_bytes;
          } else {
            at += still_lane<C, O>(n % row.still_words) * out_lane;
          }
          store_still_lanes<C, O, row.copy_lanes>(at, word[i]);
        }
      }
    };
    if constexpr (each == together) {
      copy_from(0);
    } else {
#pragma unroll 1
      for (u32 first = 0; first < each; first += together) copy_from(first);
    }
  }
}

}  // namespace ropejit
