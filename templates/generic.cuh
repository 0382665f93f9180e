// One kernel for every plan, for machines that cannot compile: what the other kernels know when they are compiled, this
// one reads from GenericPlan. It is built into the library. A block takes one token of an operand: it works out the
// token's cosines and sines, and goes over the heads, element by element. It is several times slower than a kernel of
// the plan's own, with the same bits: the arithmetic is theirs, called with what it depends on.
#pragma once

#include "generic_plan.cuh"
#include "norm.cuh"
#include "positions.cuh"
#include "share.cuh"
#include "table.cuh"

namespace ropejit {

template <u32 value>
struct Constant {
  static constexpr u32 number = value;
};

// Calls visit(Constant<n>{}) for that n below `count` which `number` is.
template <u32 count, class Visit>
__device__ __forceinline__ void visit_number(u32 number, const Visit& visit) {
  if constexpr (count == 1) {
    visit(Constant<0>{});
  } else {
    if (number == count - 1) {
      visit(Constant<count - 1>{});
    } else {
      visit_number<count - 1>(number, visit);
    }
  }
}

// Configurations that say no more than what one function asks of them.
ROPEJIT_ANYWHERE constexpr KernelConfig rounding_config(u32 element, u32 rounding, bool negate_sin, bool scaled) {
  KernelConfig config{};
  config.element = static_cast<Element>(element);
  config.rounding = static_cast<Rounding>(rounding);
  config.negate_sin = negate_sin;
  config.scaled = scaled;
  return config;
}
ROPEJIT_ANYWHERE constexpr KernelConfig position_config(u32 source, u32 context_parallel, u32 axes) {
  KernelConfig config{};
  config.positions = static_cast<PositionSource>(source);
  config.context_parallel = static_cast<ContextParallel>(context_parallel);
  config.axes = axes;
  return config;
}
ROPEJIT_ANYWHERE constexpr KernelConfig table_config(u32 angles, u32 element, u32 use) {
  KernelConfig config{};
  config.angles = static_cast<AngleSource>(angles);
  config.table_element = static_cast<Element>(element);
  config.table_use = static_cast<TableUse>(use);
  config.sine = Sine::polynomial;
  config.strides = Strides::any;
  config.axes = 1;
  return config;
}

constexpr u32 MostAxes = 4;

__device__ __forceinline__ void generic_positions(const LaunchParams& params, const GenericPlan& plan,
                                                  const Token& token, i64 (&position)[MostAxes]) {
  const auto read = [&](auto source, auto context_parallel, auto axes) {
    constexpr KernelConfig C =
        position_config(decltype(source)::number, decltype(context_parallel)::number, decltype(axes)::number);
    i64 own[C.axes];
    positions_of<C>(params, token, own);
    for (u32 a = 0; a < C.axes; ++a) position[a] = own[a];
  };
  // Ids alone may have several axes, and take no part in context parallelism.
  if (plan.axes == 1) {
    visit_number<6>(plan.positions, [&](auto source) {
      visit_number<3>(plan.context_parallel, [&](auto parallel) { read(source, parallel, Constant<1>{}); });
    });
    return;
  }
  visit_number<2>(plan.positions - static_cast<u32>(PositionSource::ids32), [&](auto source) {
    constexpr u32 number = static_cast<u32>(PositionSource::ids32) + decltype(source)::number;
    visit_number<3>(plan.axes - 2, [&](auto more) {
      read(Constant<number>{}, Constant<0>{}, Constant<2 + decltype(more)::number>{});
    });
  });
}

// What the plan does to every cosine and sine.
__device__ __forceinline__ CosSin generic_planned(const GenericPlan& plan, CosSin turn, float scale) {
  visit_number<4>(plan.rounding, [&](auto rounding) {
    visit_number<3>(plan.element, [&](auto element) {
      visit_number<4>(2 * plan.negate_sin + plan.scaled, [&](auto bits) {
        constexpr u32 number = decltype(bits)::number;
        turn = planned<rounding_config(decltype(element)::number, decltype(rounding)::number, number / 2 != 0,
                                       number % 2 != 0)>(turn, scale);
      });
    });
  });
  return turn;
}

__device__ __forceinline__ CosSin generic_computed_turn(const GenericPlan& plan, i64 position, u64 step, float scale) {
  CosSin turn{};
  visit_number<3>(plan.sine, [&](auto sine) {
    constexpr Sine S = static_cast<Sine>(decltype(sine)::number);
    if (plan.angles == static_cast<u32>(AngleSource::product)) {
      const float inv_freq = float_from_bits(static_cast<u32>(step));
      turn = cos_sin_of_radians<S>(multiply(float_from_long(position), inv_freq));
    } else {
      turn = cos_sin_of<S>(phase_of(position, step));
    }
  });
  return generic_planned(plan, turn, scale);
}

// The turn of one pair out of a table, as turns_at of table.cuh has it.
__device__ __forceinline__ CosSin generic_table_turn(const LaunchParams& params, const GenericPlan& plan, u32 sequence,
                                                     i64 position, u32 pair) {
  const bool turns_back = plan.table_use == static_cast<u32>(TableUse::shift) && position < 0;
  const u64 number = turns_back ? -static_cast<u64>(position) : static_cast<u64>(position);
  if (number >= static_cast<u64>(params.table_rows)) {
    if (params.flags != nullptr) set_bits(params.flags, NoTableRow);
    return {float_from_bits(0x7fffffffu), float_from_bits(0x7fffffffu)};
  }
  const i64 row = sequence * params.table_batch_stride + static_cast<i64>(number) * params.table_row_stride;
  CosSin turn{};
  if (plan.angles == static_cast<u32>(AngleSource::radians)) {
    visit_number<3>(plan.sine, [&](auto sine) {
      const auto* const angles = static_cast<const char*>(params.table_cos) + 4 * (row + pair);
      turn =
          cos_sin_of_radians<static_cast<Sine>(decltype(sine)::number)>(float_from_bits(load_word<4>(angles).bits[0]));
    });
  } else {
    constexpr u32 first_form = static_cast<u32>(AngleSource::half);
    visit_number<5>(plan.angles - first_form, [&](auto form) {
      visit_number<3>(plan.table_element, [&](auto element) {
        constexpr KernelConfig C = table_config(first_form + decltype(form)::number, decltype(element)::number, 0);
        CosSin one[1];
        turns_of_row<C>(params, row * C.table_element_bytes(), pair, one);
        turn = one[0];
      });
    });
  }
  visit_number<3>(plan.table_use,
                  [&](auto use) { turn = used<table_config(0, 0, decltype(use)::number)>(turn, turns_back); });
  return generic_planned(plan, turn, 1.0f);
}

// These take and give elements as their bits.
__device__ __forceinline__ u32 load_bits(u32 element, const char* at) {
  return element == static_cast<u32>(Element::fp32) ? load_word<4>(at).bits[0] : load_word<2>(at).bits[0];
}
__device__ __forceinline__ void store_bits(u32 element, char* at, u32 bits) {
  if (element == static_cast<u32>(Element::fp32)) {
    store_word(at, Word<4>{{bits}});
  } else {
    store_word(at, Word<2>{{bits}});
  }
}
__device__ __forceinline__ float float_of(u32 element, u32 bits) {
  float value[1];
  visit_number<3>(element, [&](auto number) {
    constexpr Element E = static_cast<Element>(decltype(number)::number);
    unpack<E>(Word<bytes_of(E)>{{bits}}, value, 0);
  });
  return value[0];
}
__device__ __forceinline__ u32 bits_of(u32 element, float value) {
  u32 bits = 0;
  visit_number<3>(element, [&](auto number) {
    constexpr Element E = static_cast<Element>(decltype(number)::number);
    const float lane[1] = {value};
    bits = pack<E, bytes_of(E)>(lane, 0).bits[0];
  });
  return bits;
}

struct PairLanes {
  u32 first;
  u32 second;
};

// Where a pair's members stand in a head.
__device__ __forceinline__ PairLanes lanes_of_pair(u32 layout, const GenericPlan& plan, u32 first_lane, u32 pair) {
  switch (static_cast<Layout>(layout)) {
    case Layout::interleaved: return {first_lane + 2 * pair, first_lane + 2 * pair + 1};
    case Layout::split_half: return {first_lane + pair, first_lane + pair + plan.rotary_dim / 2};
    case Layout::split_sections: break;
  }
  const u32 lane = first_lane + pair + pair / plan.section_pairs * plan.section_pairs;
  return {lane, lane + plan.section_pairs};
}

struct PairBits {
  u32 first;
  u32 second;
};

// One lane through the stages of the operand's list from `at` to before `end`, none of which is the rotation.
__device__ __forceinline__ float after_stages(const GenericPlan& plan, const GenericOperand& shape, u32 at, u32 end,
                                              float lane) {
  visit_number<3>(plan.element, [&](auto element) {
    constexpr Element E = static_cast<Element>(decltype(element)::number);
    for (u32 i = at; i < end; ++i) lane = after_stage<E>(static_cast<Stage>(shape.stages[i]), lane);
  });
  return lane;
}

// The place of Stage::rotate in the operand's list, or its end.
__device__ __forceinline__ u32 place_of_rotate(const GenericOperand& shape) {
  u32 place = 0;
  while (place < MostStages && shape.stages[place] != static_cast<u32>(Stage::rotate)) ++place;
  return place;
}

// Elements that stay as they are are not unpacked: a NaN would lose its payload.
__device__ __forceinline__ bool keeps_bits(const GenericPlan& plan, const GenericOperand& shape, bool padded) {
  return padded && plan.padding == static_cast<u32>(Padding::keep) && plan.layout == plan.layout_out &&
         shape.element_out == plan.element;
}

// A pair, which has gone through the norm if there is one.
__device__ __forceinline__ PairBits turned(const GenericPlan& plan, const GenericOperand& shape, float x, float y,
                                           CosSin turn, bool padded) {
  const u32 turning = place_of_rotate(shape);
  x = after_stages(plan, shape, 0, turning, x);
  y = after_stages(plan, shape, 0, turning, y);
  float first = 0;
  float second = 0;
  visit_number<4>(plan.rounding, [&](auto rounding) {
    visit_number<3>(plan.element, [&](auto element) {
      turn_pair<rounding_config(decltype(element)::number, decltype(rounding)::number, false, false)>(x, y, turn, first,
                                                                                                      second);
    });
  });
  if (padded) {
    const bool zero = plan.padding == static_cast<u32>(Padding::zero);
    first = zero ? 0.0f : x;
    second = zero ? 0.0f : y;
  }
  first = after_stages(plan, shape, turning + 1, MostStages, first);
  second = after_stages(plan, shape, turning + 1, MostStages, second);
  return {bits_of(shape.element_out, first), bits_of(shape.element_out, second)};
}

// Whether the operand's list has the stage.
__device__ __forceinline__ bool has_stage(const GenericOperand& shape, Stage stage) {
  for (const u32 one : shape.stages) {
    if (one == static_cast<u32>(stage)) return true;
  }
  return false;
}

// r of a head's row, which all threads of the block have written; for all of them.
__device__ __forceinline__ float statistic_of_row(const GenericOperand& shape, float eps,
                                                  const float (&row)[MostNormedLanes]) {
  __shared__ float sums[MostNormedLanes / 2];
  const u32 half = first_half_of(shape.head_dim);
  const auto lane_at = [&](u32 lane) { return lane < shape.head_dim ? row[lane] : 0.0f; };
  __syncthreads();
  for (u32 i = threadIdx.x; i < half / 2; i += blockDim.x) {
    sums[i] = sum_of_squares(row[2 * i], row[2 * i + 1], lane_at(half + 2 * i), lane_at(half + 2 * i + 1));
  }
  for (u32 step = 1; step < half / 2; step *= 2) {
    __syncthreads();
    for (u32 i = 2 * step * threadIdx.x; i + step < half / 2; i += 2 * step * blockDim.x) {
      sums[i] = add(sums[i], sums[i + step]);
    }
  }
  __syncthreads();
  return reciprocal_rms(sums[0], divide(1.0f, float_from_int(static_cast<i32>(shape.head_dim))), eps);
}

// Norms a head's row, of which each thread has those lanes that it wrote; all may read it when this returns.
__device__ __forceinline__ void norm_row(const GenericPlan& plan, const GenericOperand& shape, const void* weight,
                                         float r, float (&row)[MostNormedLanes]) {
  const char* const weights = static_cast<const char*>(weight);
  const i64 weight_bytes = bytes_of(static_cast<Element>(shape.norm_weight));
  for (u32 lane = threadIdx.x; lane < shape.head_dim; lane += blockDim.x) {
    const float w = float_of(shape.norm_weight, load_bits(shape.norm_weight, weights + lane * weight_bytes));
    visit_number<3>(plan.element, [&](auto element) {
      visit_number<4>(2 * shape.round_normed + shape.round_weighted, [&](auto bits) {
        constexpr u32 number = decltype(bits)::number;
        constexpr Element E = static_cast<Element>(decltype(element)::number);
        row[lane] = normed<E, number / 2 != 0, number % 2 != 0>(row[lane], r, w);
      });
    });
  }
  __syncthreads();
}

// The bits of an element that does not rotate, after all stages.
__device__ __forceinline__ u32 passed(const GenericPlan& plan, const GenericOperand& shape, bool changes, u32 bits) {
  if (shape.element_out == plan.element && !changes) return bits;
  const u32 turning = place_of_rotate(shape);
  const float lane = after_stages(plan, shape, 0, turning, float_of(plan.element, bits));
  return bits_of(shape.element_out, after_stages(plan, shape, turning + 1, MostStages, lane));
}

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

// Where a token is written beside its cache, and by which steps in bytes.
struct GenericBeside {
  char* out;  // null: it is not
  i64 head;
  i64 lane;
};

__device__ __forceinline__ GenericBeside beside_of_token(const BesideStore& apart, const GenericOperand& shape,
                                                         const OperandParams& operand, const Token& token) {
  if (shape.beside == static_cast<u32>(Beside::none)) return {nullptr, 0, 0};
  const TensorStrides& strides = operand.strides;
  BesideStore store = apart;
  if (shape.beside == static_cast<u32>(Beside::in_place)) {
    store = {const_cast<void*>(operand.in), strides.in_sequence, strides.in_token, strides.in_head, strides.in_lane};
  }
  const i64 bytes = bytes_of(static_cast<Element>(shape.element_out));
  return {static_cast<char*>(store.out) + (token.number * store.token + token.sequence * store.sequence) * bytes,
          store.head * bytes, store.lane * bytes};
}

// Works on one token of an operand, with all threads of a block.
__device__ __forceinline__ void run_generic_token(const MoreLaunchParams& params, const GenericPlan& plan,
                                                  const GenericOperand& shape, const OperandParams& operand,
                                                  const OperandLines& lines, const BesideStore& apart,
                                                  const OperandStatistic& statistic, u32 number) {
  __shared__ float cosines[MostGenericPairs];
  __shared__ float sines[MostGenericPairs];
  __shared__ u32 held[2 * MostGenericPairs];  // a head's lanes as they were read, where the layout changes in place
  __shared__ float row[MostNormedLanes];      // a head's lanes after its norm
  const TensorStrides& strides = operand.strides;
  const u32 rotary_dim = place_of_rotate(shape) < MostStages ? plan.rotary_dim : 0;
  const u32 pairs = rotary_dim / 2;
  const i64 in_bytes = bytes_of(static_cast<Element>(plan.element));
  const i64 out_bytes = bytes_of(static_cast<Element>(shape.element_out));
  const Token token = token_of(params, number);
  const GenericBeside beside = beside_of_token(apart, shape, operand, token);

  bool has_place = true;  // in its cache
  i64 out_row = 0;
  if (shape.rows >= static_cast<u32>(CacheRows::slots32)) {
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
  const bool hands_out = shape.statistic == static_cast<u32>(StatisticUse::handed_out);
  if (!has_place && beside.out == nullptr && !hands_out) return;
  char* const out = static_cast<char*>(operand.out) + out_row * out_bytes;
  const bool in_place = shape.out_of_place == 0;
  const char* in = out;
  if (!in_place) {
    in = static_cast<const char*>(operand.in) +
         (token.number * strides.in_token + token.sequence * strides.in_sequence) * in_bytes;
  }
  // In place both strides are those of the output.
  const i64 in_head = (in_place ? strides.out_head : strides.in_head) * in_bytes;
  const i64 in_lane = (in_place ? strides.out_lane : strides.in_lane) * in_bytes;
  const i64 out_head = strides.out_head * out_bytes;
  const i64 out_lane = strides.out_lane * out_bytes;
  const bool changes = changes_still_lanes(shape);
  // In place, lanes that stay as they are are not written.
  const bool stills_beside = beside.out != nullptr && (changes || shape.beside != static_cast<u32>(Beside::in_place));

  i64 position[MostAxes];
  generic_positions(params, plan, token, position);
  // Padding is for what rotates. Tokens that are kept are not normed.
  const bool padded = pairs > 0 && plan.padding != static_cast<u32>(Padding::rotate) && position[0] < 0;
  const bool kept = padded && plan.padding == static_cast<u32>(Padding::keep);
  const bool norms = has_stage(shape, Stage::norm) && !kept;
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

  for (u32 head = 0; head < shape.heads; ++head) {
    const char* const from = in + head * in_head;
    const auto store = [&](u32 lane, u32 bits, bool writes_beside) {
      if (has_place) store_bits(shape.element_out, out + head * out_head + lane * out_lane, bits);
      if (!writes_beside) return;
      store_bits(shape.element_out, beside.out + head * beside.head + lane * beside.lane, bits);
    };
    const auto read = [&](u32 pair) -> PairBits {
      const PairLanes lanes = lanes_of_pair(plan.layout, plan, shape.first_lane, pair);
      return {load_bits(plan.element, from + lanes.first * in_lane),
              load_bits(plan.element, from + lanes.second * in_lane)};
    };
    if (norms || hands_out) {
      for (u32 lane = threadIdx.x; lane < shape.head_dim; lane += blockDim.x) {
        row[lane] = float_of(plan.element, load_bits(plan.element, from + lane * in_lane));
      }
      char* const at = static_cast<char*>(statistic.data) + (number * statistic.token + head * statistic.head) * 4;
      const bool is_given = shape.statistic == static_cast<u32>(StatisticUse::given);
      const float r = is_given ? float_from_bits(load_word<4>(at).bits[0]) : statistic_of_row(shape, lines.eps, row);
      if (hands_out && threadIdx.x == 0) store_word(at, Word<4>{{bits_of(r)}});
      if (norms) norm_row(plan, shape, lines.weight, r, row);
    }
    if (!norms && plan.by_rows != 0) {
      for (u32 pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
        const PairBits bits = read(pair);
        held[2 * pair] = bits.first;
        held[2 * pair + 1] = bits.second;
      }
      __syncthreads();
    }
    for (u32 pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
      PairBits result{};
      if (norms) {
        const PairLanes lanes = lanes_of_pair(plan.layout, plan, shape.first_lane, pair);
        result = turned(plan, shape, row[lanes.first], row[lanes.second], {cosines[pair], sines[pair]}, padded);
      } else {
        result = plan.by_rows != 0 ? PairBits{held[2 * pair], held[2 * pair + 1]} : read(pair);
        if (!keeps_bits(plan, shape, padded)) {
          result = turned(plan, shape, float_of(plan.element, result.first), float_of(plan.element, result.second),
                          {cosines[pair], sines[pair]}, padded);
        }
      }
      const PairLanes lanes = lanes_of_pair(plan.layout_out, plan, shape.first_lane, pair);
      store(lanes.first, result.first, beside.out != nullptr);
      store(lanes.second, result.second, beside.out != nullptr);
    }
    if (in_place && !changes) continue;
    for (u32 n = threadIdx.x; n < shape.head_dim - rotary_dim; n += blockDim.x) {
      const u32 lane = n < shape.first_lane ? n : n + rotary_dim;
      u32 bits = 0;
      if (norms) {
        const bool zero = padded && plan.padding == static_cast<u32>(Padding::zero);
        bits = bits_of(shape.element_out, zero ? 0.0f : row[lane]);
      } else {
        bits = passed(plan, shape, changes && !kept, load_bits(plan.element, from + lane * in_lane));
      }
      store(lane, bits, stills_beside);
    }
    // The next head's row is written over this one.
    if (norms) __syncthreads();
  }
}

__device__ __forceinline__ void run_generic(const StatisticParams& params, const GenericPlan& plan) {
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
  if (number < count) {
    run_generic_token(params, plan, plan.operand[o], operand, params.lines[o], params.beside, params.statistic[o],
                      number);
  }
}

}  // namespace ropejit
