// The one compile-time parameter of every kernel: class and variant, as the generator writes them.
#pragma once

#include "row_split.cuh"

namespace ropejit {

using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i32 = int;
using i64 = long long;

enum class Layout : u32 { split_half, interleaved };
enum class Element : u32 { bf16, fp16, fp32 };
enum class Strides : u32 {
  contiguous,  // [token, head, lane] without gaps
  rows,        // run-time strides, lanes side by side
  any,         // run-time strides throughout
};
enum class PositionSource : u32 { start, ids32, ids64, offsets32, offsets64, ragged };
enum class AngleSource : u32 {
  computed,  // from the steps
  half,      // cos and sin of pair i at i of two rows
  full,      // the same: the right half of a row repeats the left
  repeated,  // cos and sin of pair i at 2i of two rows
  complex,   // cos at 2i, sin at 2i + 1 of one row
  cos_sin,   // cos at i, sin at rotary_dim/2 + i of one row
  radians,   // fp32 angles at i of one row
};

struct OperandShape {
  u32 heads;  // 0: absent
  u32 head_dim;
  u32 first_lane;
};

struct KernelConfig {
  // What is computed.
  Layout layout;      // read
  Layout layout_out;  // written
  Element element;
  bool negate_sin;
  bool scaled;
  float attention_scale;
  u32 rotary_dim;
  OperandShape q;
  OperandShape k;
  PositionSource positions;
  AngleSource angles;
  Element table_element;    // of the caller's cos and sin
  bool copies_still_lanes;  // out of place: lanes that do not rotate are copied
  // How.
  Strides strides;
  u32 access_bytes;
  u32 heads_per_thread;
  u32 threads;

  ROPEJIT_ANYWHERE constexpr u32 element_bytes() const { return element == Element::fp32 ? 4 : 2; }
  ROPEJIT_ANYWHERE constexpr u32 table_element_bytes() const { return table_element == Element::fp32 ? 4 : 2; }
  ROPEJIT_ANYWHERE constexpr RowSplit split(OperandShape shape) const {
    return split_row(shape.heads, shape.head_dim, rotary_dim, layout == Layout::interleaved,
                     layout_out == Layout::interleaved, copies_still_lanes, access_bytes / element_bytes(),
                     heads_per_thread);
  }
};

}  // namespace ropejit
