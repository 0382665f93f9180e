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
enum class Sine : u32 { polynomial, hardware };
// What cos and sin of a table, which has the attention scale in it, become.
enum class TableUse : u32 {
  as_given,
  inverse,  // those of the inverse matrix
  shift,    // made of length 1; a negative position reads the row of the positive one, and turns back
};
// Where values are rounded on their way: RopeSpec::rounding.
enum class Rounding : u32 { exact, p1, p2, p3 };

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
  // How.
  Strides strides;
  u32 access_bytes;
  u32 heads_per_thread;
  u32 threads;

  ROPEJIT_ANYWHERE constexpr u32 element_bytes() const { return bytes_of(element); }
  ROPEJIT_ANYWHERE constexpr u32 table_element_bytes() const { return bytes_of(table_element); }
  ROPEJIT_ANYWHERE constexpr u32 pairs() const { return rotary_dim / 2; }
  ROPEJIT_ANYWHERE constexpr RowSplit split(OperandShape shape) const {
    return split_row(shape.heads, shape.head_dim, rotary_dim, layout == Layout::interleaved,
                     layout_out == Layout::interleaved, shape.copies_still_lanes, access_bytes / element_bytes(),
                     heads_per_thread);
  }
  // An operand whose layout changes in place: other threads' lanes are written, so all must have been read.
  ROPEJIT_ANYWHERE constexpr bool by_rows() const {
    return layout != layout_out && (!q.copies_still_lanes || (k.heads != 0 && !k.copies_still_lanes));
  }
  ROPEJIT_ANYWHERE constexpr BlockSplit block() const { return split_block(split(q), split(k), by_rows(), threads); }
};

}  // namespace ropejit
