// The one compile-time parameter of every kernel: class and variant, as the generator writes them.
#pragma once

#include "row_split.cuh"

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
enum class CacheRows : u32 { none, rows32, rows64 };
enum class AngleSource : u32 {
  computed,  // from the steps, exactly
  product,   // the fp32 product of the position and the pair's fp32 inverse frequency
  half,      // cos and sin of pair i at i of two rows
  full,      // the same: the right half of a row repeats the left
  repeated,  // cos and sin of pair i at 2i of two rows
  complex,   // cos at 2i, sin at 2i + 1 of one row
  cos_sin,   // cos at i, sin at rotary_dim/2 + i of one row
  radians,   // fp32 angles at i of one row
};
enum class Sine : u32 {
  polynomial,    // to 1.5e-7
  polynomial16,  // to 3e-7, in fewer instructions: where what comes out has 16 bits
  hardware,      // to 4.3e-7
};
// What cos and sin of a table, which has the attention scale in it, become.
enum class TableUse : u32 {
  as_given,
  inverse,  // those of the inverse matrix
  shift,    // made of length 1; a negative position reads the row of the positive one, and turns back
};
// Where values are rounded on their way: RopeSpec::rounding.
enum class Rounding : u32 { exact, p1, p2, p3 };
enum class Operand : u32 { q, k };

struct OperandShape {
  u32 heads;  // 0: absent
  u32 head_dim;
  u32 first_lane;
  bool copies_still_lanes;  // out of place: lanes that do not rotate are copied
  Element element_out;
};

ROPEJIT_ANYWHERE constexpr u32 bytes_of(Element element) { return element == Element::fp32 ? 4 : 2; }

struct KernelConfig {
  // What is computed.
  Layout layout;      // read
  Layout layout_out;  // written
  Element element;    // read
  u32 rotary_dim;
  u32 section_pairs;  // of Layout::split_sections; all pairs for the other layouts
  OperandShape q;
  OperandShape k;
  PositionSource positions;
  ContextParallel context_parallel;
  u32 axes;  // positions of a token
  AngleSource angles;
  Element table_element;  // of the caller's cos and sin
  TableUse table_use;
  Sine sine;
  bool negate_sin;
  bool scaled;
  Rounding rounding;
  Padding padding;
  CacheRows k_rows;
  bool counted;
  bool overlaps_previous;
  // How.
  Strides strides;
  Cut cut;
  u32 access_bytes;
  u32 heads_per_thread;
  u32 most_threads;  // a block
  bool persistent;   // a block takes several blocks' work in turn

  ROPEJIT_ANYWHERE constexpr u32 element_bytes() const { return bytes_of(element); }
  ROPEJIT_ANYWHERE constexpr u32 table_element_bytes() const { return bytes_of(table_element); }
  ROPEJIT_ANYWHERE constexpr bool reads_table_one_by_one() const { return strides == Strides::any || axes > 1; }
  ROPEJIT_ANYWHERE constexpr bool has_steps() const {
    return angles == AngleSource::computed || angles == AngleSource::product;
  }
  ROPEJIT_ANYWHERE constexpr u32 pairs() const { return rotary_dim / 2; }
  ROPEJIT_ANYWHERE constexpr const OperandShape& shape(Operand o) const { return o == Operand::q ? q : k; }
  ROPEJIT_ANYWHERE constexpr bool in_place(Operand o) const { return !shape(o).copies_still_lanes; }
  ROPEJIT_ANYWHERE constexpr RowSplit split(Operand o) const {
    const OperandShape& s = shape(o);
    return split_row({s.heads, s.head_dim, s.first_lane, s.copies_still_lanes}, rotary_dim,
                     layout == Layout::interleaved, layout_out == Layout::interleaved, access_bytes / element_bytes(),
                     element_bytes(), strides != Strides::any, heads_per_thread);
  }
  ROPEJIT_ANYWHERE constexpr u32 threads() const {
    return threads_of_block(split_block(split(Operand::q), cut, most_threads));
  }
  ROPEJIT_ANYWHERE constexpr BlockSplit block(Operand o) const {
    return split_block(split(o), cut, o == Operand::q ? most_threads : threads());
  }
};

}  // namespace ropejit
