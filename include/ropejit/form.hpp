// LaunchForm: how a kernel will be called. It is given to RopeService::get because it decides which kernels are
// prepared; a launch never compiles.
#pragma once

#include <string>
#include <string_view>

#include "ropejit/export.hpp"
#include "ropejit/spec.hpp"

namespace ropejit {
inline namespace v0 {

/// Whether the rotation is written over its input.
enum class Placement {
  in_place,      ///< q and k are read and written; without a norm, lanes that do not rotate are neither
  out_of_place,  ///< q and k are read, q_out and k_out written in full: lanes that do not rotate are copied
};

/// What the caller promises of the tensors. A launch whose tensors break the promise is not an error: it is served by
/// the universal entry that every kernel carries, which takes any stride and any element-aligned pointer, slower.
enum class Strides {
  /// Promise: tensors are [batch, token, head, lane] without gaps and 16-byte aligned. This gives the fastest kernels.
  contiguous,
  /// Promise: nothing but element alignment. Rows that turn out to be vector-aligned still run fast.
  free,
};

/// Where a launch has the positions of its tokens from: see Positions in tensor.hpp.
enum class PositionSource {
  start,      ///< token s of every sequence is at position start + s
  ids32,      ///< an int32 position for every token, in device memory
  ids64,      ///< an int64 position for every token, in device memory
  offsets32,  ///< token s of sequence b is at offsets[b] + s: an int32 for every sequence, in device memory
  offsets64,  ///< the same with int64
  ragged,     ///< sequences of different lengths one after another (THD): cu_seqlens, with an int32 offset each or none
};

/// Where cos and sin come from. All but `computed` read a table of the caller's (RopeArgs::table) instead of the
/// spec's frequencies; h is rotary_dim/2, i the pair.
enum class AngleSource {
  computed,  ///< exact, from the spec's theta and scaling
  half,      ///< cos and sin, rows of h: pair i at i (flash-attn)
  full,      ///< cos and sin, rows of rotary_dim whose right half repeats the left: pair i at i (Hugging Face, Liger)
  repeated,  ///< cos and sin, rows of rotary_dim: pair i at 2i and again at 2i + 1 (the paper's form)
  complex,   ///< one tensor, rows of (cos, sin) pairs: freqs_cis viewed as reals (Meta, fairseq2)
  cos_sin,   ///< one tensor, rows of h cosines and then h sines: the cache of vLLM and FlashInfer
  radians,   ///< one fp32 tensor of angles, rows of h or more: TransformerEngine's freqs
};

/// What becomes of tokens at negative positions, which runtimes use to mark padding. With several axes, the position on
/// axis 0 decides. With Direction::shift, where positions are differences, negative ones are seldom padding.
enum class Padding {
  rotate,  ///< nothing special: a negative position is a position
  zero,    ///< rotating lanes come out 0 (fairseq2); of operands with a norm all lanes
  keep,    ///< tokens come out as they went in, their lanes where layout_out has them
};

/// Which tokens of a sequence this rank holds, where one is shared by several ranks (context parallelism). The token
/// numbers of starts, offsets and ragged sequences are then those of the rank; ids say where each token is.
enum class ContextParallel {
  none,
  contiguous,  ///< rank r has the r-th of `ranks` equal parts
  zigzag,      ///< of 2 * ranks equal parts the r-th, then the r-th from the end, so that all ranks have equal work
};

/// Whether k, or v, is written to rows of a cache that a list names, instead of to its own tokens.
enum class CacheRows {
  none,
  rows32,  ///< RopeArgs::k_rows, or v_rows, has an int32 for every token: a row of one tensor, -1 for none
  rows64,  ///< the same with int64
  /// The list has an int32 slot for a token, of a cache of pages (vLLM's slot_mapping): slot s is place s % block_size
  /// of page s / block_size. The page's size, the cache's strides, and how many tokens have a slot are each launch's to
  /// say, whatever `strides` promises: see RopeArgs::k_block_size. Any negative slot is none.
  slots32,
  slots64,  ///< the same with int64
  /// A token goes to a page of the request that it belongs to (`token_requests`), by where it stands in that
  /// (`token_places`): token p of request r to place p % block_size of the page that entry first_entries[r] + p /
  /// block_size of RopeArgs::k_page_table names, or v_page_table (FlashInfer's indices and indptr). Pages are as those
  /// of slots.
  page_lists,
  block_table,  ///< the same with entry p / block_size of row r of a rectangular table (vLLM, TensorRT-LLM)
};

/// Which request a token belongs to, of forms whose k_rows or v_rows are page_lists or block_table.
enum class TokenRequests {
  sequences,  ///< the sequence of the launch: b of [batch, tokens]; of ragged ones that which cu_seqlens has it in
  ids32,      ///< RopeArgs::token_requests has an int32 for every token; a negative one: none
};

/// Where a token stands in its request, of the same forms.
enum class TokenPlaces {
  positions,  ///< at the position that it rotates by, on axis 0; at a negative one: nowhere
  ids32,      ///< RopeArgs::token_places has an int32 for every token; a negative one: nowhere
  ids64,      ///< the same with int64
};

/// Everything about a launch that a kernel is prepared for. A plain value: take one of the functions below, change any
/// field. What goes together is checked by RopeService::get.
struct ROPEJIT_EXPORT LaunchForm {
  Placement placement = Placement::in_place;                 ///< whether q, and k without k_rows, is written over
  Strides strides = Strides::contiguous;                     ///< a promise about all tensors of a launch
  PositionSource positions = PositionSource::ids64;          ///< the kind of RopeArgs::positions
  AngleSource angles = AngleSource::computed;                ///< anything else: launches bring RopeArgs::table
  DType table_dtype = DType::fp32;                           ///< dtype of the caller's cos and sin; radians are fp32
  Padding padding = Padding::rotate;                         ///< what becomes of tokens at negative positions
  ContextParallel context_parallel = ContextParallel::none;  ///< for starts, offsets and ragged sequences
  /// k is written to rows of k_out (out of place whatever `placement` says, which is then of q alone, or of k_beside
  /// too).
  CacheRows k_rows = CacheRows::none;
  /// Launches read the number of tokens from RopeArgs::token_count, on the device; those beyond it are left alone.
  bool counted = false;
  /// Programmatic dependent launch, for small launches one after another: this one may be dealt to the GPU while the
  /// launch before it on the stream is ending, waits there by itself until that one's memory can be seen, and lets the
  /// next such launch come as early. Most of what starting a kernel costs is hidden then. Any kernel may come before.
  /// Captured graphs keep it. GPUs before sm_90 launch as ever.
  bool overlaps_previous = false;
  /// v, of specs that have one, is copied to rows of v_out that RopeArgs::v_rows names, or where this is none to its
  /// own tokens there.
  CacheRows v_rows = CacheRows::none;
  /// With overlaps_previous, a promise: whatever this launch reads but its tensors (q, k, v, and statistics of their
  /// norms) and a caller's table (positions, cu_seqlens, rows, slots, pages, the count, weights, steps) was written by
  /// nothing that may still run: by no launch on the stream since the last one that did not itself overlap the one
  /// before it. That the launch before does not write it is not enough, as that one may have let this one start before
  /// its own wait. All of it is then read while the launch before is still ending, and the tensors alone wait. Where
  /// the promise is broken, what is read is old or torn.
  bool ready_lists = false;
  /// With k_rows: k of every token is written a second time, as without them: over itself where `placement` is
  /// in_place, else to RopeArgs::k_beside, in full. So one launch both fills the cache and leaves the keys of its own
  /// tokens for an attention over these, as prefills have it. Both stores have the same bits, of k's dtype_out. A token
  /// that has no place in the cache is written beside it all the same.
  bool k_beside = false;
  /// r of every token and head (spec.hpp, Norm) is written, too, as fp32: to RopeArgs::q_norm_statistic_out,
  /// k_norm_statistic_out and v_norm_statistic_out, for each operand whose norm computes it. A gradient of the norm
  /// reads it, and a later launch may take it (Statistic::given). Tokens that have no place in a cache, and padding,
  /// have theirs as well. Some operand's norm must be computed, and be no layer norm. A norm over the token
  /// (NormSpan::token) has one r for each token.
  bool norm_statistics = false;
  /// With norm_statistics: the sums of squares are written in place of r, as ranks that share a token's heads add them
  /// up for one another (Statistic::given_sum). Put q's and k's into one tensor of two columns, and one all-reduce
  /// does.
  bool norm_sums = false;
  /// With norm_statistics: nothing but the statistics is written. Operands without one are left alone, in the launch as
  /// well; k_rows, v_rows and k_beside are none.
  bool statistics_only = false;
  /// q's heads lie in groups of as many as share a head of k, and the groups have a stride of their own
  /// (RopeArgs::q_group_stride): projections that give [q .. q k v] for each head of k (Megatron, InternLM2, Falcon).
  /// In place q_out is q; out of place q_out's heads lie in groups of its own (RopeArgs::q_out_group_stride). With a k
  /// whose heads divide q's, and Strides::free.
  bool grouped_q = false;
  /// For page_lists and block_table, of k and v alike: which request a token belongs to.
  TokenRequests token_requests = TokenRequests::sequences;
  /// Likewise: where it stands there, which need not be the position that it rotates by (several axes, sinks that stay
  /// in the cache while positions are counted anew).
  TokenPlaces token_places = TokenPlaces::positions;
  /// With v_rows: as k_beside, of v, which is written to RopeArgs::v_beside in full. Where `placement` is in_place v
  /// is written over itself, as its stages have it; a v without stages is that tensor as it is, and has no v_beside.
  bool v_beside = false;
  /// With k_rows of slots or of pages: a head's lanes lie in k's cache in groups of 16 bytes (vLLM's key_cache, [pages,
  /// heads, head_dim / x, block_size, x]). With x lanes in 16 bytes of k's dtype_out, lane l of place o is at (l / x) *
  /// RopeArgs::k_split_stride + o * token_stride + l % x.
  bool k_split = false;

  /// q and k are written over, their positions in a list on the device.
  static LaunchForm in_place_ids(PositionSource ids = PositionSource::ids64);
  /// q and k are written over, positions count from a number that each launch has.
  static LaunchForm in_place_start();
  /// As in_place_ids, with results in q_out and k_out.
  static LaunchForm out_of_place_ids(PositionSource ids = PositionSource::ids64);
  static LaunchForm out_of_place_start();  ///< as in_place_start, with results in q_out and k_out

  /// The same form for tensors of any strides.
  LaunchForm with_free_strides() const;

  /// The same form reading the caller's table. Arithmetic stays fp32, with one rounding at the end.
  LaunchForm with_table(AngleSource source, DType dtype = DType::fp32) const;

  /// Reads {"placement": "in_place", "strides": "contiguous", "positions": "ids64"}, and where they are not the
  /// defaults above: "angles", "table_dtype", "padding", "context_parallel", "k_rows", "counted", "overlaps_previous",
  /// "v_rows", "ready_lists", "k_beside", "norm_statistics", "norm_sums", "statistics_only", "grouped_q",
  /// "token_requests", "token_places", "v_beside", "k_split". Absent keys take the defaults.
  static LaunchForm from_json(std::string_view text);
  std::string to_json() const;  ///< what from_json reads
};

ROPEJIT_EXPORT bool operator==(const LaunchForm& a, const LaunchForm& b) noexcept;
inline bool operator!=(const LaunchForm& a, const LaunchForm& b) noexcept { return !(a == b); }

ROPEJIT_EXPORT const char* to_string(Placement placement) noexcept;
ROPEJIT_EXPORT const char* to_string(Strides strides) noexcept;
ROPEJIT_EXPORT const char* to_string(PositionSource positions) noexcept;
ROPEJIT_EXPORT const char* to_string(AngleSource angles) noexcept;
ROPEJIT_EXPORT const char* to_string(Padding padding) noexcept;
ROPEJIT_EXPORT const char* to_string(ContextParallel order) noexcept;
ROPEJIT_EXPORT const char* to_string(CacheRows rows) noexcept;
ROPEJIT_EXPORT const char* to_string(TokenRequests requests) noexcept;
ROPEJIT_EXPORT const char* to_string(TokenPlaces places) noexcept;

}  // namespace v0
}  // namespace ropejit
