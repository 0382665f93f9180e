// One launch on real memory, every byte of which is accounted for: tensors in any arrangement between guard zones,
// outputs against the oracle, everything else unchanged.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "ropejit/error.hpp"
#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "ropejit/tensor.hpp"
#include "support/statistic_memory.hpp"
#include "support/targets.hpp"
#include "verify/comparison.hpp"

namespace ropejit::test {

/// How a tensor lies in memory.
enum class Arrangement {
  bshd,          ///< contiguous
  bhsd,          ///< heads outside tokens
  sbhd,          ///< tokens outside sequences
  packed_qkv,    ///< q, k and a v of k's size in one row of one buffer (in place and as inputs; v where it has that)
  padded,        ///< bshd with 16 elements between rows
  lane_strided,  ///< bshd with every stride doubled: lanes apart
  misaligned,    ///< bshd from an address aligned to its element only
  expanded,      ///< one head's memory for all heads (inputs alone)
  gated,    ///< [q | gate] head by head in one buffer, of a gate of q's heads; all others bshd (inputs and in place)
  grouped,  ///< [q .. q k v] for each head of k in one buffer (with grouped_q; of outputs q alone, others bshd)
};
const char* to_string(Arrangement arrangement);

/// How the pages of a cache lie in memory, whose places slots name.
enum class Pages {
  nhd,           ///< [pages, places, heads, head_dim], no stride given
  hnd,           ///< [pages, heads, places, head_dim]
  beside,        ///< [pages, 2, places, heads, head_dim]: k beside v, where v's pages are like k's
  lanes_beside,  ///< [pages, heads, places, 2, head_dim]: likewise, in one row of lanes
  padded,        ///< nhd with elements between places and more of them between pages
  misaligned,    ///< nhd from an address aligned to its element only
  lanes_apart,   ///< [pages, heads, head_dim, places]: a lane's places side by side (vLLM's value_cache)
};
const char* to_string(Pages pages);

/// How ids of several axes lie in memory.
enum class AxisRows {
  contiguous,  ///< [axes, batch, tokens], no stride given
  padded,      ///< the same with 5 ids between axes
  innermost,   ///< [batch, tokens, axes]
};

/// The lists of a PageTable, as they lie in memory.
struct TableLists {
  std::vector<std::int32_t> pages;
  std::vector<std::int32_t> first_entries;
  std::vector<std::int32_t> last_page_lengths;  ///< empty: last pages are full
  std::int64_t requests = 0;
  std::int64_t entries = 0;
  std::int64_t row_stride = kContiguous;
};

struct NumericCase {
  RopeSpec spec;
  LaunchForm form;
  std::int64_t batch = 1;
  std::int64_t tokens = 1;
  Arrangement in = Arrangement::bshd;  ///< in place: of the tensors themselves
  /// Out of place, and of a cache of k (its rows are then the tokens), and of what is written beside it.
  Arrangement out = Arrangement::bshd;
  std::vector<std::int64_t> positions;   ///< axes * batch * tokens ids; for a start form: one
  std::vector<std::int32_t> cu_seqlens;  ///< for ragged forms; positions are then offsets, one a sequence, or none
  bool share_positions = false;          ///< one row of `tokens` ids for every sequence
  AxisRows axis_rows = AxisRows::contiguous;
  bool pass_k = true;
  bool pass_v = true;
  bool pass_gate = true;

  // For forms that read a table: it holds the exact angles of positions 0 to table_rows - 1, rounded to its dtype
  // (radians: reduced by nothing, so up to table_rows); sequence b's rows are those of positions shifted by 3 b.
  std::int64_t table_rows = 64;
  bool table_per_batch = false;
  bool table_misaligned = false;

  std::int64_t ranks = 1;  ///< for forms with context_parallel
  std::int64_t rank = 0;
  std::int32_t token_count = 0;      ///< for counted forms
  std::vector<std::int64_t> k_rows;  ///< for forms with k_rows: batch * tokens
  std::int64_t k_cache_rows = 0;
  std::vector<std::int64_t> v_rows;  ///< the same for forms with v_rows
  std::int64_t v_cache_rows = 0;

  // For forms with slots: `out` is not of their caches. The rows above are slots, one for every token whatever the
  // count, and the cache's rows all places of its pages. Between slots, and beyond the count, the list has numbers that
  // would show.
  Pages pages = Pages::nhd;
  std::int64_t k_block_size = 0;
  std::int64_t k_slot_count = kEveryToken;
  std::int64_t k_slot_stride = 1;
  std::int64_t v_block_size = 0;
  std::int64_t v_slot_count = kEveryToken;
  std::int64_t v_slot_stride = 1;

  // For forms with page tables, where rows are not read: which slots tokens have is worked out of these. k's pages lie
  // as those of slots; with k_split in groups of lanes whatever they are, padded or not.
  TableLists k_table;
  TableLists v_table;
  std::vector<std::int64_t> token_requests;  ///< batch * tokens, where the form has such a list
  std::vector<std::int64_t> token_places;    ///< likewise
  bool pass_flags = true;
  bool poison_unread = true;        ///< tensors are NaN where nobody is to read: of tokens without a row
  bool weights_misaligned = false;  ///< those of norms, and all biases, aligned to an element of theirs only
  StatisticRows statistic_rows = StatisticRows::contiguous;  ///< of all statistics, given or handed out
  /// For norms of a given statistic, of q, k and v: bits of r, or of the sum, [batch * tokens][heads], or of norms over
  /// the token [batch * tokens]. Empty: random numbers that have nothing to do with the lanes.
  std::array<std::vector<std::uint32_t>, 3> statistics;

  std::string to_string() const;
};

struct NumericResult {
  LaunchStatus status;
  internal::Comparison comparison;
  std::string stray_write;               ///< empty, or where a byte changed that must not, or flags that are wrong
  std::vector<unsigned char> out_bytes;  ///< all tensors as they came out, for bit-for-bit comparisons
  /// What norms handed out, as NumericCase::statistics has it; of tokens that do not count anything.
  std::array<std::vector<std::uint32_t>, 3> statistics;

  bool passed() const { return status && comparison.passed() && stray_write.empty(); }
  std::string to_string() const;
};

/// Fills the inputs from `seed`, launches, checks.
NumericResult run_case(const internal::PreparedKernel& kernel, const NumericCase& given, std::uint64_t seed);

/// Positions of every kind: small, around powers of two, up to 2^31 - 1 and down to -2^31.
std::vector<std::int64_t> random_positions(std::mt19937_64& random, std::size_t count);

}  // namespace ropejit::test
