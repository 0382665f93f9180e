// One kernel for every plan, for machines that cannot compile: what the other kernels know when they are compiled, this
// one reads from GenericPlan. It is built into the library. A block takes one token of an operand: it works out the
// token's cosines and sines, and goes over the heads, element by element. It is several times slower than a kernel of
// the plan's own, with the same bits: the arithmetic is theirs, called with what it depends on.
#pragma once

#include "generic_stages.cuh"
#include "generic_store.cuh"

namespace ropejit {

// The parameters of operand `o`.
__device__ __forceinline__ OperandParams operand_params(const MoreLaunchParams& params, u32 o) {
  if (o == 0) return {params.q_out, params.q_in, nullptr, 0, params.q_strides, 0};
  if (o == 1) return {params.k_out, params.k_in, params.k_rows, params.k_cache_rows, params.k_strides, params.q_blocks};
  return params.more[o - 2];
}

// Whether lanes that do not rotate change too.
__device__ __forceinline__ bool changes_still_lanes(const GenericOperand& shape) {
  for (const u32 stage : shape.stages) {
    if (stage != static_cast<u32>(Stage::none) && stage != static_cast<u32>(Stage::rotate)) return true;
  }
  return false;
}

// Works on one token of an operand, with all threads of a block.
__device__ __forceinline__ void run_generic_token(const StoreParams& params, const GenericPlan& plan, u32 o,
                                                  const OperandParams& operand, u32 number) {
  __shared__ float cosines[MostGenericPairs];
  __shared__ float sines[MostGenericPairs];
  __shared__ u32 held[2 * MostGenericPairs];  // a head's lanes as they were read, where the layout changes in place
  const GenericOperand& shape = plan.operand[o];
  const OperandLines& lines = params.lines[o];
  const TensorStrides& strides = operand.strides;
  const u32 rotary_dim = place_of_rotate(shape) < MostStages ? plan.rotary_dim : 0;
  const u32 pairs = rotary_dim / 2;
  const i64 in_bytes = bytes_of(static_cast<Element>(plan.element));
  const i64 out_bytes = bytes_of(static_cast<Element>(shape.element_out));
  const Token token = token_of(params, number);
  const GenericBeside beside = beside_of_token(params, plan, o, operand, token);
  i64 position[MostAxes];
  const u32 sequence = generic_positions(params, plan, token, position);

  bool has_place = shape.no_store == 0;  // in its cache, or wherever it is written
  i64 out_row = 0;
  if (shape.rows >= static_cast<u32>(CacheRows::page_lists)) {
    const TablePage page = generic_page(params, shape, o, number, sequence, position[0]);
    const i64 slot = slot_of_page(lines, page);
    if (slot >= lines.capacity && params.flags != nullptr && threadIdx.x == 0) set_bits(params.flags, NoCacheRow);
    has_place = slot >= 0 && slot < lines.capacity;
    if (has_place) out_row = place_in_page(lines, page);
  } else if (shape.rows >= static_cast<u32>(CacheRows::slots32)) {
    i64 slot = -1;
    visit_number<2>(shape.rows - static_cast<u32>(CacheRows::slots32), [&](auto slots) {
      constexpr u32 first = static_cast<u32>(CacheRows::slots32);
      slot = slot_of<static_cast<CacheRows>(first + decltype(slots)::number)>(lines, number);
    });
    if (slot >= lines.capacity && params.flags != nullptr && threadIdx.x == 0) set_bits(params.flags, NoCacheRow);
    has_place = slot >= 0 && slot < lines.capacity;
    if (has_place) out_row = place_of_slot(lines, slot);
  } else if (shape.rows != static_cast<u32>(CacheRows::none)) {
    i64 row = -1;
    visit_number<2>(shape.rows - 1, [&](auto rows) {
      constexpr CacheRows kind = static_cast<CacheRows>(1 + decltype(rows)::number);
      row = cache_row<kind>(params, operand.rows, operand.cache_rows, number);
    });
    has_place = row >= 0;
    if (has_place) out_row = row * strides.out_token;
  } else {
    out_row = token.number * strides.out_token + token.sequence * strides.out_sequence;
  }
  const bool hands_out = hands_out_statistic(shape);
  if (!has_place && beside.out == nullptr && !hands_out) return;
  char* const out = static_cast<char*>(operand.out) + out_row * out_bytes;
  const bool in_place = shape.out_of_place == 0;
  const char* in = out;
  if (!in_place) {
    in = static_cast<const char*>(operand.in) +
         (token.number * strides.in_token + token.sequence * strides.in_sequence) * in_bytes;
  }
  // In place both strides are those of the output.
  const GenericHeads in_head{(in_place ? strides.out_head : strides.in_head) * in_bytes, shape.group_heads,
                             shape.group_heads == 0 ? 0 : (in_place ? params.groups.out : params.groups.in) * in_bytes};
  const i64 in_lane = (in_place ? strides.out_lane : strides.in_lane) * in_bytes;
  const GenericHeads out_head{strides.out_head * out_bytes, shape.group_heads,
                              shape.group_heads == 0 ? 0 : params.groups.out * out_bytes};
  const GenericLanes out_lane{strides.out_lane * out_bytes, shape.split_lanes,
                              shape.split_lanes == 0 ? 0 : params.split_stride * out_bytes, out_bytes};
  const bool changes = changes_still_lanes(shape);
  // In place, lanes that stay as they are are not written.
  const bool stills_beside = beside.out != nullptr && (changes || shape.beside != static_cast<u32>(Beside::in_place));

  // Padding is for what rotates. Tokens that are kept go through no stage.
  const bool padded = pairs > 0 && plan.padding != static_cast<u32>(Padding::rotate) && position[0] < 0;
  const bool kept = padded && plan.padding == static_cast<u32>(Padding::keep);
  const bool has_steps = plan.angles <= static_cast<u32>(AngleSource::product);
  const u64* const steps = plan.buffered_steps != 0 ? params.steps : plan.steps;
  const float scale = plan.buffered_steps != 0 ? params.scale : plan.attention_scale;
  for (u32 pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
    const i64 at = position[plan.axes > 1 ? plan.pair_axes[pair] : 0];
    CosSin turn{1.0f, 0.0f};
    if (has_steps) {
      turn = generic_computed_turn(plan, at, load_readonly(steps + pair), scale);
    } else if (!padded) {
      turn = generic_table_turn(params, plan, token.sequence, at, pair);
    }
    cosines[pair] = turn.cos;
    sines[pair] = turn.sin;
  }
  __syncthreads();

  const GenericRow row{
      plan,  shape, params.numbers[o], lines,   cosines,
      sines, in,    in_head,           in_lane, generic_tau(plan, shape, params.numbers[o], position[0])};
  if (changes && (hands_out || !kept)) {
    GenericStatistic statistic{};
    if (is_by_token(shape)) statistic = statistic_of_token(row, params.statistic[o], number);
    for (u32 head = 0; head < shape.heads; ++head) {
      if (has_stage(shape, Stage::norm) && !is_by_token(shape)) {
        statistic = statistic_of_head(row, params.statistic[o], number, head);
      }
      if (hands_out && threadIdx.x == 0 && (head == 0 || !is_by_token(shape))) {
        store_generic_statistic(shape, params.statistic[o], number, head, statistic);
      }
      if (kept || (!has_place && beside.out == nullptr)) continue;
      const float* const lanes = staged_row(row, head, MostStages, statistic);
      const bool zero = padded && plan.padding == static_cast<u32>(Padding::zero);
      for (u32 lane = threadIdx.x; lane < shape.head_dim; lane += blockDim.x) {
        const u32 bits = bits_of(shape.element_out, zero ? 0.0f : lanes[lane]);
        if (has_place) store_bits(shape.element_out, out + out_head.to(head) + out_lane.to(lane), bits);
        if (beside.out == nullptr) continue;
        store_bits(shape.element_out, beside.out + head * beside.head + lane * beside.lane, bits);
      }
      __syncthreads();  // the next head's row is written over this one
    }
  }
  if (changes && !kept) return;

  for (u32 head = 0; head < shape.heads; ++head) {
    const char* const from = in + in_head.to(head);
    const auto store = [&](u32 lane, u32 bits, bool writes_beside) {
      if (has_place) store_bits(shape.element_out, out + out_head.to(head) + out_lane.to(lane), bits);
      if (!writes_beside) return;
      store_bits(shape.element_out, beside.out + head * beside.head + lane * beside.lane, bits);
    };
    const auto read = [&](u32 pair) -> PairBits {
      const PairLanes lanes = lanes_of_pair(plan.layout, plan, shape.first_lane, pair);
      return {load_bits(plan.element, from + lanes.first * in_lane),
              load_bits(plan.element, from + lanes.second * in_lane)};
    };
    if (plan.by_rows != 0) {
      for (u32 pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
        const PairBits bits = read(pair);
        held[2 * pair] = bits.first;
        held[2 * pair + 1] = bits.second;
      }
      __syncthreads();
    }
    for (u32 pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
      PairBits result = plan.by_rows != 0 ? PairBits{held[2 * pair], held[2 * pair + 1]} : read(pair);
      if (!keeps_bits(plan, shape, padded)) {
        const PairValues values = turned(plan, float_of(plan.element, result.first),
                                         float_of(plan.element, result.second), {cosines[pair], sines[pair]}, padded);
        result = {bits_of(shape.element_out, values.first), bits_of(shape.element_out, values.second)};
      }
      const PairLanes lanes = lanes_of_pair(plan.layout_out, plan, shape.first_lane, pair);
      store(lanes.first, result.first, beside.out != nullptr);
      store(lanes.second, result.second, beside.out != nullptr);
    }
    if (in_place && !changes) continue;
    for (u32 n = threadIdx.x; n < shape.head_dim - rotary_dim; n += blockDim.x) {
      const u32 lane = n < shape.first_lane ? n : n + rotary_dim;
      store(lane, copied(plan, shape, load_bits(plan.element, from + lane * in_lane)), stills_beside);
    }
  }
}

__device__ __forceinline__ void run_generic(const StoreParams& params, const GenericPlan& plan) {
  if (plan.overlaps_previous != 0) wait_for_last_kernel();
  u32 o = 0;
  for (u32 next = 1; next < plan.operands; ++next) {
    if (blockIdx.x >= operand_params(params, next).first_block) o = next;
  }
  const OperandParams operand = operand_params(params, o);
  const u32 number = blockIdx.x - operand.first_block;
  u32 count = params.tokens;
  if (plan.counted != 0) {
    constexpr KernelConfig counted = [] {
      KernelConfig config{};
      config.counted = true;
      return config;
    }();
    count = count_tokens<counted>(params);
  }
  if (number < count) run_generic_token(params, plan, o, operand, number);
}

}  // namespace ropejit
