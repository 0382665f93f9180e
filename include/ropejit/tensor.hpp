// What one launch takes. Nothing here owns memory; pointers are device pointers (host pointers on the host
// target) that must stay valid until the stream has run the launch.
#pragma once

#include <cstdint>
#include <limits>

#include "ropejit/form.hpp"

namespace ropejit {
inline namespace v0 {

/// A stride that is computed from the sizes, as if the tensor were [batch, token, head, lane] without gaps.
inline constexpr std::int64_t kContiguous = std::numeric_limits<std::int64_t>::min();

/// A count of tokens: as many as the launch has.
inline constexpr std::int64_t kEveryToken = -1;

/// A 4-dimensional view: element (b, s, h, l) is at data + b*batch_stride + s*token_stride + h*head_stride +
/// l*lane_stride, strides in elements. BSHD, BHSD, SBHD, THD (batch 1) and packed QKV are all views of this kind.
/// `data` points at lane 0 of head 0, not at the first lane that rotates. An input's strides may be 0 (an
/// expanded tensor) or negative out of place; an output's elements must be distinct.
struct TensorView {
  void* data = nullptr;                     ///< lane 0 of head 0 of token 0; the caller's memory
  std::int64_t batch_stride = kContiguous;  ///< from a sequence to the next, in elements
  std::int64_t token_stride = kContiguous;  ///< from a token to the next
  std::int64_t head_stride = kContiguous;   ///< from a head to the next
  std::int64_t lane_stride = kContiguous;   ///< from a lane to the next; kContiguous: 1

  /// A tensor that a launch only reads (the out-of-place forms never write q and k).
  static TensorView input(const void* data) {
    TensorView view;
    view.data = const_cast<void*>(data);
    return view;
  }
};

/// Where the tokens stand. Build it with one of the functions; the kind must be the form's. Ids and cu_seqlens
/// must not overlap what the launch writes. Token s of sequence b reads ids[b*batch_stride + s*token_stride].
struct Positions {
  PositionSource source = PositionSource::start;  ///< which kind: the form's
  const void* ids = nullptr;                      ///< device memory
  std::int64_t first = 0;                   ///< for PositionSource::start: the position of token 0; may be negative
  std::int64_t batch_stride = kContiguous;  ///< in ids; kContiguous: tokens (offsets: 1); 0: shared by all sequences
  std::int64_t token_stride = kContiguous;  ///< in ids; kContiguous: 1

  const std::int32_t* cu_seqlens =
      nullptr;                 ///< for ragged: device memory, sequences + 1 ascending token numbers from 0
  std::int64_t sequences = 0;  ///< for ragged: 1 or more

  /// The stride, in ids, between a token's positions on one axis and the next, where the spec has axes; kContiguous:
  /// batch * tokens, as if ids were [axes, batch, tokens].
  std::int64_t axis_stride = kContiguous;
  /// For forms with context_parallel, ignored by the others: 1 to 65,536 ranks, of which this is number `rank`, from 0.
  /// RopeArgs::tokens is what this rank holds of each sequence, and even for zigzag. cu_seqlens are of the whole
  /// sequences, whose lengths must be multiples of `ranks` (zigzag: 2 * ranks); this rank's tokens of sequence i begin
  /// at cu_seqlens[i] / ranks.
  std::int64_t ranks = 1;
  std::int64_t rank = 0;  ///< 0 to ranks - 1

  /// Token s of every sequence is at first + s.
  static Positions start(std::int64_t first) {
    Positions positions;
    positions.first = first;
    return positions;
  }
  /// A position for every token, in device memory.
  static Positions ids32(const std::int32_t* ids) { return of(PositionSource::ids32, ids); }
  /// The same with 64 bits.
  static Positions ids64(const std::int64_t* ids) { return of(PositionSource::ids64, ids); }

  /// One offset for every sequence; with batch_stride 0, one for all (a decode step's position, kept on the device).
  static Positions offsets32(const std::int32_t* offsets) { return of(PositionSource::offsets32, offsets); }
  /// The same with 64 bits.
  static Positions offsets64(const std::int64_t* offsets) { return of(PositionSource::offsets64, offsets); }
  /// Token t belongs to the sequence i with cu_seqlens[i] <= t < cu_seqlens[i + 1] and is at t - cu_seqlens[i], plus
  /// offsets[i] where there are any. Tokens beyond the last are counted on in the last sequence. RopeArgs::batch is 1.
  static Positions ragged(const std::int32_t* cu_seqlens, std::int64_t sequences,
                          const std::int32_t* offsets = nullptr) {
    Positions positions = of(PositionSource::ragged, offsets);
    positions.cu_seqlens = cu_seqlens;
    positions.sequences = sequences;
    return positions;
  }

 private:
  static Positions of(PositionSource source, const void* ids) {
    Positions positions;
    positions.source = source;
    positions.ids = ids;
    return positions;
  }
};

/// The caller's cos and sin, for forms whose angles are not computed, in memory that the launch does not write. Row p
/// belongs to position p; for a table gathered beforehand for the tokens of the launch (Hugging Face's
/// position_embeddings) use Positions::start(0). Sequence b reads from element b*batch_stride + p*row_stride on. A
/// token whose position has no row comes out NaN (with axes: the pairs that it turns); nothing outside the table is
/// read.
struct AngleTable {
  const void* cos = nullptr;              ///< device memory; complex, cos_sin, radians: the one tensor
  const void* sin = nullptr;              ///< half, full and repeated; kept null for the others
  std::int64_t rows = 0;                  ///< positions 0 to rows - 1 have a row
  std::int64_t row_stride = kContiguous;  ///< in elements; kContiguous: rows without gaps, radians of h
  std::int64_t batch_stride = 0;          ///< in elements; 0: one table for all sequences
};

/// The statistic of a norm that a launch is given: r of head h of token s of sequence b is at data +
/// (b*tokens + s)*token_stride + h*head_stride, strides in elements. It may be expanded (a stride of 0).
struct NormStatistic {
  const float* data = nullptr;              ///< r of head 0 of token 0; device memory, which the launch does not write
  std::int64_t token_stride = kContiguous;  ///< from a token to the next; kContiguous: the operand's heads
  std::int64_t head_stride = kContiguous;   ///< from a head to the next; kContiguous: 1
};

/// The same where a launch writes it: its elements must be distinct, and no other tensor's.
struct NormStatisticOut {
  float* data = nullptr;                    ///< r of head 0 of token 0; device memory
  std::int64_t token_stride = kContiguous;  ///< from a token to the next; kContiguous: the operand's heads
  std::int64_t head_stride = kContiguous;   ///< from a head to the next; kContiguous: 1
};

/// The pages that each request has in a cache, for forms whose k_rows or v_rows are page_lists or block_table. All of
/// it is device memory that the launch does not write. Whatever is in it, nothing outside these lists and the cache is
/// read or written.
struct PageTable {
  /// Numbers of pages. page_lists: `entries` of them, all requests' one after another (indices); block_table:
  /// [requests, entries]. A negative one is no page, in silence; one from the cache's pages on is none too, and
  /// flagged.
  const std::int32_t* pages = nullptr;
  /// Of page_lists: requests + 1 numbers, where each request's pages begin in `pages` and the last one's end (indptr).
  /// Null for a block_table.
  const std::int32_t* first_entries = nullptr;
  /// Of page_lists: how many places of each request's last page are the request's (last_page_len). Null: all of them;
  /// so for a block_table.
  const std::int32_t* last_page_lengths = nullptr;
  std::int64_t requests = 0;  ///< 1 or more; a token of a request from it on has no place, and is flagged
  std::int64_t entries = 0;   ///< 1 or more: of `pages`; of a block_table those of a request
  std::int64_t row_stride =
      kContiguous;  ///< of a block_table: from a request to the next, in elements; else kContiguous
};

/// Arguments of one launch. batch * tokens is at most 2^31 - 1; 0 of either launches nothing and is fine.
struct RopeArgs {
  TensorView q;             ///< [batch, tokens, spec.q.heads, spec.q.head_dim]
  TensorView k;             ///< data null: k is left out of this launch
  TensorView q_out;         ///< out of place: like q, written in full. In place: leave it empty.
  TensorView k_out;         ///< out of place: like k, written in full; with k_rows: the cache
  Positions positions;      ///< where the tokens stand: of the form's kind
  AngleTable table;         ///< read by forms whose angles are not computed, ignored by the others
  std::int64_t batch = 1;   ///< sequences
  std::int64_t tokens = 0;  ///< tokens of each sequence

  /// For forms with k_rows: device memory, for token s of sequence b at [b*tokens + s] the row of k_out that its k is
  /// written to, -1 for none. Any other number outside [0, k_cache_rows) is skipped too, and flagged. Rows must be
  /// distinct, or it is left open which token's k a row holds; the list must not overlap what is written. k_out is then
  /// [k_cache_rows, heads, head_dim]: its token_stride is between rows, its batch_stride is not used.
  const void* k_rows = nullptr;
  std::int64_t k_cache_rows = 0;  ///< 1 or more
  /// For specs with v, which is copied: [batch, tokens, spec.v->heads, spec.v->head_dim]. Data null: v is left out of
  /// this launch.
  TensorView v;
  TensorView v_out;               ///< like v, written in full; with v_rows: the cache
  const void* v_rows = nullptr;   ///< for forms with v_rows, as k_rows is of k; may be the same list
  std::int64_t v_cache_rows = 0;  ///< rows of v_out, as k_cache_rows of k_out
  /// For counted forms: device memory. Tokens b*tokens + s from *token_count on are neither read nor written.
  const std::int32_t* token_count = nullptr;
  /// Device memory; null: not wanted. What only the device can find is reported here, by setting bits: kNoTableRow,
  /// kNoCacheRow. The library never clears them; whoever owns them does that.
  std::uint32_t* flags = nullptr;
  /// For forms whose k_rows are slots32 or slots64: the tokens of a page of k's cache, 1 to the capacity. k_out is then
  /// [pages, k_block_size, heads, head_dim], and k_cache_rows all places of all pages, its capacity, 1 or more. Its
  /// batch_stride is between pages, its token_stride between places of a page and its head_stride between heads: pages
  /// of tokens (NHD), of heads (HND), of k beside v, in any order; kContiguous as if without gaps in the order above.
  /// Lanes apart are served slower. A negative slot is none, in silence; one from the capacity on is none too, and
  /// flagged (kNoCacheRow). Other operands of such a token are made all the same. Slots must be distinct, or it is left
  /// open which token's k a place holds. 0 for all other forms.
  std::int64_t k_block_size = 0;
  /// How many of the launch's tokens have a slot: of tokens b*tokens + s from it on, k is not written to the cache.
  /// From 0 to batch * tokens; kEveryToken: all of them. Other forms than slots and pages: kEveryToken.
  std::int64_t k_slot_count = kEveryToken;
  /// Elements of the list from a token's slot to the next: 0 or more. Other forms than slots: 1.
  std::int64_t k_slot_stride = 1;
  std::int64_t v_block_size = 0;            ///< as k_block_size, of v_rows, v_out and v_cache_rows
  std::int64_t v_slot_count = kEveryToken;  ///< as k_slot_count
  std::int64_t v_slot_stride = 1;           ///< as k_slot_stride
  /// For operands with a norm that has weights (Norm::weight): device memory, head_dim or heads * head_dim elements of
  /// the norm's weight_dtype, which the launch does not write. Null where the operand has no such norm, or is left out
  /// of this launch.
  const void* q_norm_weight = nullptr;
  const void* k_norm_weight = nullptr;  ///< as q_norm_weight, of k
  const void* v_norm_weight = nullptr;  ///< as q_norm_weight, of v
  /// For out-of-place forms with k_beside: like k, written in full, in k's dtype_out. In place, where k itself is
  /// written, as for all other forms and launches without k: leave it empty.
  TensorView k_beside;
  /// For operands whose norm has Statistic::given: r of their heads. Its memory must be there for all tokens of the
  /// launch. Empty for all other operands, and for those that are left out of this launch.
  NormStatistic q_norm_statistic;
  NormStatistic k_norm_statistic;  ///< as q_norm_statistic, of k
  NormStatistic v_norm_statistic;  ///< as q_norm_statistic, of v
  /// For forms with norm_statistics, of operands whose norm is computed: where r of their heads is written, in full.
  /// Empty for all other operands, and for those that are left out of this launch.
  NormStatisticOut q_norm_statistic_out;
  NormStatisticOut k_norm_statistic_out;  ///< as q_norm_statistic_out, of k
  NormStatisticOut v_norm_statistic_out;  ///< as q_norm_statistic_out, of v
  /// For operands whose norm has biases (Norm::bias): device memory, as many as weights, of the norm's weight_dtype.
  const void* q_norm_bias = nullptr;
  const void* k_norm_bias = nullptr;  ///< as q_norm_bias, of k
  const void* v_norm_bias = nullptr;  ///< as q_norm_bias, of v
  /// For operands with Operand::bias: device memory, [heads, head_dim] of the spec's dtype without gaps. Null for all
  /// other operands, and for those that are left out of this launch; likewise the scales below.
  const void* q_bias = nullptr;
  const void* k_bias = nullptr;  ///< as q_bias, of k
  const void* v_bias = nullptr;  ///< as q_bias, of v
  /// For operands with Operand::head_scales: device memory, a factor for each head.
  const float* q_head_scales = nullptr;
  const float* k_head_scales = nullptr;  ///< as q_head_scales, of k
  const float* v_head_scales = nullptr;  ///< as q_head_scales, of v
  /// For specs with a gate, which is copied: [batch, tokens, spec.gate->heads, spec.gate->head_dim]. It may lie between
  /// q's heads, which may be written in place: its lanes are none of q's. Data null: it is left out of this launch.
  TensorView gate;
  TensorView gate_out;  ///< like gate, written in full, whatever the form's placement
  /// For forms with grouped_q, in elements: from a group of q's heads to the next, where q.head_stride is from a head
  /// to the next of its group. kContiguous: groups follow one another as their heads do. Kept kContiguous for all other
  /// forms.
  std::int64_t q_group_stride = kContiguous;
  std::int64_t q_out_group_stride = kContiguous;  ///< the same of q_out; in place kept kContiguous
  /// For forms whose k_rows are page_lists or block_table: where k's pages are, which k_out has as those of slots.
  /// k_rows is then null and k_slot_stride 1; k_cache_rows, k_block_size and k_slot_count are as with slots. A token
  /// that has no place (a negative request, place or page) is not written, in silence. A request or a page that does
  /// not exist, and a place behind the request's pages or its last page's length, are none too, and flagged
  /// (kNoCacheRow). Places must be distinct, as slots.
  PageTable k_page_table;
  PageTable v_page_table;  ///< as k_page_table, of v; may be the same
  /// For forms whose token_requests are ids32: device memory, at [b*tokens + s] the request of token s of sequence b,
  /// in k's table and in v's; a negative one: none. Null for all other forms.
  const std::int32_t* token_requests = nullptr;
  /// For forms whose token_places are ids32 or ids64: device memory, at [b*tokens + s] where that token stands in its
  /// request, from 0; a negative one: nowhere. Null for all other forms.
  const void* token_places = nullptr;
  /// For out-of-place forms with v_beside: like v, written in full, in v's dtype_out. In place and for all other forms:
  /// leave it empty.
  TensorView v_beside;
  /// For forms with k_split, in elements of k_out: from a group of 16 bytes of a head's lanes to the next. kContiguous:
  /// k_block_size times the lanes of a group; k_out's strides that are kContiguous are then those of [pages, heads,
  /// groups, places, lanes]. Kept kContiguous for all other forms.
  std::int64_t k_split_stride = kContiguous;
};

/// A position for which the caller's table has no row: what it turns came out NaN.
inline constexpr std::uint32_t kNoTableRow = 1;
/// A number in k_rows or v_rows that is neither -1 nor a row of the cache, a slot from its capacity on, or a request,
/// page or place that a page table does not have: the token's k, or v, was not written there.
inline constexpr std::uint32_t kNoCacheRow = 2;

}  // namespace v0
}  // namespace ropejit
