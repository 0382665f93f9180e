// The one compile-time parameter of every kernel: class and variant, as the generator writes them.
#pragma once

#include "launch_params.cuh"
#include "row_split.cuh"
#include "stage.cuh"

namespace ropejit {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i32 = int;
using i64 = long long;

enum class Layout : u32 { split_half, interleaved, split_sections };
enum class Element : u32 { bf16, fp16, fp32 };
enum class Strides : u32 {
  contiguous,  // [token, head, lane] without gaps
  rows,        // run-time strides, lanes side by side
  any,         // run-time strides throughout
};
enum class PositionSource : u32 { start, ids32, ids64, offsets32, offsets64, ragged };
enum class ContextParallel : u32 { none, contiguous, zigzag };
enum class Padding : u32 { rotate, zero, keep };
enum class CacheRows : u32 { none, rows32, rows64, slots32, slots64, page_lists, block_table };
// Of operands whose rows are one of the last two: which request a token belongs to, and where it stands there.
enum class TokenRequests : u32 { sequences, ids32 };
enum class TokenPlaces : u32 { positions, ids32, ids64 };
enum class AngleSource : u32 {
  computed,  // from the steps, exactly
  product,   // the fp32 product of the position and the pair's fp32 inverse frequency
  half,      // cos and sin of pair i at i of two rows
  full,      // as half: the right half of a row repeats the left
  repeated,  // cos and sin of pair i at 2i of two rows
  complex,   // cos at 2i, sin at 2i + 1 of one row
  cos_sin,   // cos at i, sin at rotary_dim/2 + i of one row
  radians,   // fp32 angles at i of one row
};
enum class Sine : u32 {
  polynomial,    // within 1.5e-7
  polynomial16,  // within 3e-7, in fewer instructions: for results of 16 bits
  hardware,      // within 4.3e-7
};
// What cos and sin of a table, which has the attention scale in it, become.
enum class TableUse : u32 {
  as_given,
  inverse,  // cos and sin of the inverse matrix
  shift,    // made of length 1; a negative position reads the row of the positive one, and turns back
};
// Where values are rounded on their way: RopeSpec::rounding.
enum class Rounding : u32 { exact, p1, p2, p3 };
// What a norm divides by, over what, and how many weights it has: NormKind, NormSpan and NormWeight of the spec.
enum class NormKind : u32 { rms, layer, l2 };
enum class NormSpan : u32 { head, token };
// The heads of a token that is normed as a whole, at most; a power of two.
enum : u32 { MostTokenHeads = 256 };
enum class NormWeight : u32 { lanes, heads, none };
// What becomes of a norm's statistic.
enum class StatisticUse : u32 {
  computed,        // r, from the lanes
  handed_out,      // likewise, and written to memory
  given,           // r is read from memory
  sum_handed_out,  // r from the lanes, and the sum of squares is written to memory
  sum_given,       // the sum of squares is read from memory, and r is made of it
};
// What Stage::norm is told (norm.cuh).
struct NormConfig {
  Element weight;          // of the weights in memory
  bool round_normed;       // x r is rounded to the class's element
  bool round_weighted;     // (x r) w likewise
  StatisticUse statistic;  // where it is in memory is StatisticParams::statistic's to say
  NormKind kind;
  NormSpan span;
  NormWeight weights;
  bool plus_one;         // lanes are multiplied by 1 + w
  bool has_bias;         // as many biases as weights are added
  bool round_statistic;  // r is rounded to the class's element
  bool round_biased;     // (x r) w + b likewise
  u32 first_lane;        // the first lane that is normed
  u32 lanes;             // how many are; 0: all of the head's

  ROPEJIT_ANYWHERE constexpr bool is_given() const {
    return statistic == StatisticUse::given || statistic == StatisticUse::sum_given;
  }
  ROPEJIT_ANYWHERE constexpr bool is_by_token() const { return span == NormSpan::token; }
};
// What Stage::temperature is told.
struct TemperatureConfig {
  bool steps;
  bool plus_one;   // positions count from 1
  bool round_tau;  // the factor is rounded to the class's element
};
// Where the tokens of an operand that goes to a cache are written, too: where they were read, or to a tensor of their
// own, whose place is BesideParams::beside.
enum class Beside : u32 { none, in_place, apart };
// One written row of lanes of each head: q, k, v, gate.
struct OperandConfig {
  u32 heads;
  u32 head_dim;
  u32 first_lane;  // the first lane that rotates
  Stage stages[MostStages];
  // How it is written.
  bool out_of_place;
  Element element_out;
  CacheRows rows;  // rows, or places of pages, of a cache that a list names; none: its tokens' own
  NormConfig norm;
  Beside beside;  // other than none with rows only
  TemperatureConfig temperature;
  bool round_bias;  // what the stage gives is rounded to the class's element
  bool round_scale;
  bool round_rotation;
  bool no_store;    // of its row nothing but the norm's statistic is written
  u32 group_heads;  // heads lie in groups of so many, which have a stride of their own; 0: all heads have one
  TokenRequests requests;
  TokenPlaces places;
  u32 split_lanes;  // a head's lanes are written in groups of so many, which have a stride of their own; 0: they are
                    // not

  // Whether it goes to pages of a cache, by slots or by a table.
  ROPEJIT_ANYWHERE constexpr bool has_pages() const {
    return rows != CacheRows::none && rows != CacheRows::rows32 && rows != CacheRows::rows64;
  }
  ROPEJIT_ANYWHERE constexpr bool has_page_table() const {
    return rows == CacheRows::page_lists || rows == CacheRows::block_table;
  }
  ROPEJIT_ANYWHERE constexpr bool has(Stage stage) const {
    for (const Stage one : stages) {
      if (one == stage) return true;
    }
    return false;
  }
  // Whether lanes that do not rotate change too: then they are written in place as well.
  ROPEJIT_ANYWHERE constexpr bool changes_still_lanes() const {
    for (const Stage one : stages) {
      if (one != Stage::none && one != Stage::rotate) return true;
    }
    return false;
  }
  ROPEJIT_ANYWHERE constexpr bool writes_whole_rows() const { return out_of_place || changes_still_lanes(); }
  ROPEJIT_ANYWHERE constexpr bool is_written_beside() const { return beside != Beside::none; }
  ROPEJIT_ANYWHERE constexpr bool hands_out_statistic() const {
    return norm.statistic == StatisticUse::handed_out || norm.statistic == StatisticUse::sum_handed_out;
  }
  // The place of a stage in the list; its end where there is none.
  ROPEJIT_ANYWHERE constexpr u32 place_of(Stage stage) const {
    for (u32 i = 0; i < MostStages; ++i) {
      if (stages[i] == stage) return i;
    }
    return MostStages;
  }
  // The lanes that are normed.
  ROPEJIT_ANYWHERE constexpr u32 normed_lanes() const { return norm.lanes == 0 ? head_dim : norm.lanes; }
  // Whether tokens without a place in the cache are worked on as well.
  ROPEJIT_ANYWHERE constexpr bool needs_no_place() const { return is_written_beside() || hands_out_statistic(); }
  // The same of the store beside the cache: in place, lanes that stay as they are are not written.
  ROPEJIT_ANYWHERE constexpr bool writes_whole_rows_beside() const {
    return beside == Beside::apart || (beside == Beside::in_place && changes_still_lanes());
  }
  // Whether lanes are written where they were read.
  ROPEJIT_ANYWHERE constexpr bool writes_over_itself() const { return !out_of_place || beside == Beside::in_place; }
};

ROPEJIT_ANYWHERE constexpr u32 bytes_of(Element element) { return element == Element::fp32 ? 4 : 2; }

struct KernelConfig {
  // These members say what is computed, in the order of the fields of a class (spec/class_fields.hpp).
  Layout layout;    // read
  Element element;  // read
  bool negate_sin;
  bool scaled;
  u32 rotary_dim;
  OperandConfig operand[MostOperands];
  u32 operands;
  PositionSource positions;
  Layout layout_out;  // written
  u32 section_pairs;  // pairs of a section (split_sections); all pairs for other layouts
  Rounding rounding;
  Sine sine;
  u32 axes;  // positions of a token
  ContextParallel context_parallel;
  AngleSource angles;
  Element table_element;  // of the caller's cos and sin
  TableUse table_use;
  Padding padding;
  bool counted;
  bool overlaps_previous;
  bool ready_lists;
  // These say how.
  Strides strides;
  Cut cut;
  u32 access_bytes;
  u32 heads_per_thread;
  u32 most_threads;  // of a block

  ROPEJIT_ANYWHERE constexpr u32 element_bytes() const { return bytes_of(element); }
  ROPEJIT_ANYWHERE constexpr u32 table_element_bytes() const { return bytes_of(table_element); }
  ROPEJIT_ANYWHERE constexpr bool reads_table_one_by_one() const { return strides == Strides::any || axes > 1; }
  ROPEJIT_ANYWHERE constexpr bool has_steps() const {
    return angles == AngleSource::computed || angles == AngleSource::product;
  }
  ROPEJIT_ANYWHERE constexpr u32 pairs() const { return rotary_dim / 2; }
  ROPEJIT_ANYWHERE constexpr bool rotates(u32 o) const { return operand[o].has(Stage::rotate); }
  ROPEJIT_ANYWHERE constexpr bool is_normed(u32 o) const { return operand[o].has(Stage::norm); }
  // Whether it has stages beside the rotation, and so goes the way of staged.cuh.
  ROPEJIT_ANYWHERE constexpr bool is_staged(u32 o) const { return operand[o].changes_still_lanes(); }
  // Whether it takes PrologueParams (launch_params.cuh).
  ROPEJIT_ANYWHERE constexpr bool is_prologue() const {
    for (const OperandConfig& one : operand) {
      if (one.changes_still_lanes() || one.has_pages() || one.beside == Beside::apart) return true;
    }
    return false;
  }
  ROPEJIT_ANYWHERE constexpr RowSplit split(u32 o) const {
    const OperandConfig& s = operand[o];
    // Of a norm of all lanes there are none.
    const u32 borders = (s.norm.lanes == 0 ? 0 : s.norm.first_lane | s.norm.lanes) | s.split_lanes;
    return split_row({s.heads, s.head_dim, s.first_lane, rotates(o) ? rotary_dim : 0, s.writes_whole_rows(), borders},
                     layout == Layout::interleaved, layout_out == Layout::interleaved, access_bytes / element_bytes(),
                     element_bytes(), strides != Strides::any, heads_per_thread);
  }
  ROPEJIT_ANYWHERE constexpr Cut cut_of(u32 o) const {
    if (is_normed(o) && operand[o].norm.is_by_token()) return Cut::tokens;
    if (is_staged(o)) return Cut::segments;
    return rotates(o) ? cut : Cut::items;
  }
  ROPEJIT_ANYWHERE constexpr u32 threads() const {
    return threads_of_block(split_block(split(0), cut_of(0), most_threads));
  }
  ROPEJIT_ANYWHERE constexpr BlockSplit block(u32 o) const {
    return split_block(split(o), cut_of(o), o == 0 ? most_threads : threads());
  }
};

}  // namespace ropejit
