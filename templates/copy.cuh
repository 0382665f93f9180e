// Operands without a stage: v, on its way to a cache or to a tensor of its own, or such a k. No angles, positions or
// pairs: a thread copies a word of each head of its group.
#pragma once

#include "share.cuh"

namespace ropejit {

template <KernelConfig C, u32 O>
__device__ __forceinline__ void copy_block(const LaunchParams& params, u32 block) {
  constexpr RowSplit row = C.split(O);
  constexpr OperandConfig shape = C.operand[O];
  constexpr u32 in_bytes = C.element_bytes();
  constexpr u32 out_bytes = bytes_of(shape.element_out);
  const Seat seat = seat_of<C, O>(block, count_tokens<C>(params));
  if (!seat.works) return wait_for_tensors<C>();
  const Token token = token_of(params, seat.number);
  RowsOf<C, O> rows = rows_of<C, O>(params, token);
  find_request<C, O>(params, token, rows);
  wait_for_tensors<C>();
  if (!is_read<C, O>(rows)) return;
  const TensorStrides& strides = strides_of<C, O>(params);
  const u32 group = seat.item / row.chunks;
  const u32 lane = seat.item % row.chunks * row.word_lanes;
  const i64 in_head = head_stride<C, O>(strides.in_head) * in_bytes;
  const i64 out_head = out_head_stride<C, O>(strides.out_head) * out_bytes;
  const i64 in_group = groups_of<C, O>(params).in * in_bytes;
  const i64 out_group = groups_of<C, O>(params).out * out_bytes;
  const char* const in = rows.in + group * in_head + gained_by_group<C, O>(group, in_group) +
                         lane * lane_stride<C>(strides.in_lane) * in_bytes;
  const auto has_head = [&](u32 h) {
    return shape.heads % row.heads_per_thread == 0 || group + h * row.groups < shape.heads;
  };
  Word<row.word_lanes * in_bytes> word[row.heads_per_thread];
#pragma unroll
  for (u32 h = 0; h < row.heads_per_thread; ++h) {
    if (has_head(h))
      word[h] = load_word<row.word_lanes * in_bytes>(in + h * row.groups * in_head +
                                                     gained_by_group<C, O>(h * row.groups, in_group));
  }
  find_place<C, O>(params, rows);
  if (!has_store<C, O>(params, rows)) return;
  char* out = rows.out + group * out_head + gained_by_group<C, O>(group, out_group);
  if constexpr (shape.split_lanes > 0) {
    out += to_split_lane<C, O>(params, lane) * out_bytes;
  } else {
    out += lane * lane_stride<C>(strides.out_lane) * out_bytes;
  }
#pragma unroll
  for (u32 h = 0; h < row.heads_per_thread; ++h) {
    if (!has_head(h)) continue;
    if constexpr (shape.is_written_beside()) {
      store_still_lanes<C, O, row.word_lanes>(beside_at<C, O>(params, rows, group + h * row.groups, lane), word[h]);
      if (rows.out == nullptr) continue;
    }
    store_still_lanes<C, O, row.word_lanes>(
        out + h * row.groups * out_head + gained_by_group<C, O>(h * row.groups, out_group), word[h]);
  }
}

}  // namespace ropejit
