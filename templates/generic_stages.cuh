// The stages of the generic kernel: a head's row lies in shared memory, where all threads of the block take it through
// the operand's list, lane by lane.
#pragma once

#include "generic_turns.cuh"
#include "norm.cuh"
#include "temperature.cuh"

namespace ropejit {

// Steps in bytes from head to head, of which `group_heads` make a group that adds `each`; 0: none do.
struct GenericHeads {
  i64 step;
  u32 group_heads;
  i64 each;

  __device__ __forceinline__ i64 to(u32 head) const {
    return head * step + (group_heads == 0 ? 0 : head / group_heads * each);
  }
};

// What the stages of one token of an operand read.
struct GenericRow {
  const GenericPlan& plan;
  const GenericOperand& shape;
  const StageNumbers& numbers;
  const OperandLines& lines;
  const float* cosines;  // of its pairs
  const float* sines;
  const char* in;  // head 0, lane 0
  GenericHeads in_head;
  i64 in_lane;
  float tau;
};

struct GenericStatistic {
  float r;
  float mean;
  float sum;  // of squares
};

__device__ __forceinline__ bool is_by_token(const GenericOperand& shape) {
  return has_stage(shape, Stage::norm) && shape.span == static_cast<u32>(NormSpan::token);
}
__device__ __forceinline__ bool hands_out_statistic(const GenericOperand& shape) {
  return shape.statistic == static_cast<u32>(StatisticUse::handed_out) ||
         shape.statistic == static_cast<u32>(StatisticUse::sum_handed_out);
}

__device__ __forceinline__ float generic_rounded(const GenericPlan& plan, float value) {
  visit_number<3>(plan.element,
                  [&](auto number) { value = rounded_to<static_cast<Element>(decltype(number)::number)>(value); });
  return value;
}

// Number `index` of a list of elements.
__device__ __forceinline__ float number_at(u32 element, const void* numbers, u32 index) {
  const char* const at = static_cast<const char*>(numbers) + index * bytes_of(static_cast<Element>(element));
  return float_of(element, load_bits(element, at));
}

// The temperature's factor; nothing without one.
__device__ __forceinline__ float generic_tau(const GenericPlan& plan, const GenericOperand& shape,
                                             const StageNumbers& numbers, i64 position) {
  if (!has_stage(shape, Stage::temperature)) return 0.0f;
  const TemperatureConfig temperature{shape.tau_steps != 0, shape.tau_plus_one != 0, shape.round_tau != 0};
  return tau_at(temperature, position, numbers.tau_length, numbers.tau_coefficient,
                [&](float tau) { return generic_rounded(plan, tau); });
}

// One lane through a stage that leaves lanes where they are.
__device__ __forceinline__ float after_stage(const GenericRow& row, Stage stage, u32 head, u32 lane, float value,
                                             const GenericStatistic& statistic) {
  const GenericOperand& shape = row.shape;
  const auto round_if = [&](u32 rounds, float x) { return rounds != 0 ? generic_rounded(row.plan, x) : x; };
  const u32 of_head = head * shape.head_dim + lane;
  switch (stage) {
    case Stage::bias:
      return round_if(shape.round_bias, add(value, number_at(row.plan.element, row.numbers.bias, of_head)));
    case Stage::clamp: return clamped(value, row.numbers.clamp);
    case Stage::scale: return round_if(shape.round_scale, multiply(value, row.numbers.scale));
    case Stage::head_scale:
      return round_if(shape.round_scale,
                      multiply(value, float_from_bits(load_word<4>(row.numbers.head_scales + head).bits[0])));
    case Stage::temperature: return multiply(value, row.tau);
    case Stage::norm: {
      if (lane < shape.norm_first_lane || lane - shape.norm_first_lane >= shape.norm_lanes) return value;
      NormConfig norm{};
      norm.kind = static_cast<NormKind>(shape.kind);
      norm.weights = static_cast<NormWeight>(shape.weights);
      norm.plus_one = shape.plus_one != 0;
      norm.has_bias = shape.has_bias != 0;
      norm.round_normed = shape.round_normed != 0;
      norm.round_weighted = shape.round_weighted != 0;
      norm.round_biased = shape.round_biased != 0;
      const u32 number = norm.weights == NormWeight::heads ? of_head : lane;
      const float w = norm.weights == NormWeight::none ? 0.0f : number_at(shape.norm_weight, row.lines.weight, number);
      const float b = norm.has_bias ? number_at(shape.norm_weight, row.numbers.norm_bias, number) : 0.0f;
      return normed(
          norm, [&](float x) { return generic_rounded(row.plan, x); }, value, statistic.r, statistic.mean, w, b);
    }
    case Stage::none:
    case Stage::rotate: break;
  }
  return value;
}

// A head's row as it is after the stages before `end`. All threads of the block call it at once, and may read the row
// when it returns, until the next call.
__device__ __forceinline__ const float* staged_row(const GenericRow& row, u32 head, u32 end,
                                                   const GenericStatistic& statistic) {
  __shared__ float rows[2][MostNormedLanes];
  const GenericOperand& shape = row.shape;
  float* lanes = rows[0];
  float* other = rows[1];
  const char* const from = row.in + row.in_head.to(head);
  __syncthreads();  // whoever reads the last row is done
  for (u32 lane = threadIdx.x; lane < shape.head_dim; lane += blockDim.x) {
    lanes[lane] = float_of(row.plan.element, load_bits(row.plan.element, from + lane * row.in_lane));
  }
  __syncthreads();
  for (u32 i = 0; i < end; ++i) {
    const Stage stage = static_cast<Stage>(shape.stages[i]);
    if (stage == Stage::none) break;
    if (stage != Stage::rotate) {
      for (u32 lane = threadIdx.x; lane < shape.head_dim; lane += blockDim.x) {
        lanes[lane] = after_stage(row, stage, head, lane, lanes[lane], statistic);
      }
      __syncthreads();
      continue;
    }
    for (u32 pair = threadIdx.x; pair < row.plan.rotary_dim / 2; pair += blockDim.x) {
      const PairLanes read = lanes_of_pair(row.plan.layout, row.plan, shape.first_lane, pair);
      const PairLanes written = lanes_of_pair(row.plan.layout_out, row.plan, shape.first_lane, pair);
      const PairValues values =
          turned(row.plan, lanes[read.first], lanes[read.second], {row.cosines[pair], row.sines[pair]}, false);
      other[written.first] = shape.round_rotation != 0 ? generic_rounded(row.plan, values.first) : values.first;
      other[written.second] = shape.round_rotation != 0 ? generic_rounded(row.plan, values.second) : values.second;
    }
    for (u32 n = threadIdx.x; n < shape.head_dim - row.plan.rotary_dim; n += blockDim.x) {
      const u32 lane = n < shape.first_lane ? n : n + row.plan.rotary_dim;
      other[lane] = lanes[lane];
    }
    __syncthreads();
    float* const read = lanes;
    lanes = other;
    other = read;
  }
  return lanes;
}

// The sum over a row's normed lanes, each less `mean`; for all threads of the block, which call it at once.
template <Summand summand>
__device__ __forceinline__ float sum_of_row(const GenericOperand& shape, const float* row, float mean) {
  __shared__ float sums[MostNormedLanes / 2];
  const u32 half = first_half_of(shape.norm_lanes);
  const auto lane_at = [&](u32 lane) {
    if (lane >= shape.norm_lanes) return 0.0f;
    const float value = row[shape.norm_first_lane + lane];
    return shape.kind == static_cast<u32>(NormKind::layer) && summand == Summand::square ? add(value, -mean) : value;
  };
  __syncthreads();
  for (u32 i = threadIdx.x; i < half / 2; i += blockDim.x) {
    sums[i] =
        sum_of_four<summand>(lane_at(2 * i), lane_at(2 * i + 1), lane_at(half + 2 * i), lane_at(half + 2 * i + 1));
  }
  for (u32 step = 1; step < half / 2; step *= 2) {
    __syncthreads();
    for (u32 i = 2 * step * threadIdx.x; i + step < half / 2; i += 2 * step * blockDim.x) {
      sums[i] = add(sums[i], sums[i + step]);
    }
  }
  __syncthreads();
  const float sum = sums[0];
  __syncthreads();
  return sum;
}

// The sum over the normed lanes of all heads, as token_sum.cuh has it.
template <Summand summand>
__device__ __forceinline__ float sum_of_token(const GenericRow& row, float mean) {
  __shared__ float sums[MostTokenHeads];
  const u32 heads = row.shape.heads;
  for (u32 head = 0; head < heads; ++head) {
    const float* const lanes = staged_row(row, head, place_of(row.shape, Stage::norm), {});
    const float sum = sum_of_row<summand>(row.shape, lanes, mean);
    if (threadIdx.x == 0) sums[head] = sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    const u32 blocks = power_in(heads, MostTokenHeads);
    const u32 per_block = heads / blocks;
    for (u32 block = 0; block < blocks; ++block) {
      float sum = sums[block * per_block];
      for (u32 i = 1; i < per_block; ++i) sum = add(sum, sums[block * per_block + i]);
      sums[block] = sum;
    }
    for (u32 step = 1; step < blocks; step *= 2) {
      for (u32 i = 0; i + step < blocks; i += 2 * step) sums[i] = add(sums[i], sums[i + step]);
    }
  }
  __syncthreads();
  const float sum = sums[0];
  __syncthreads();
  return sum;
}

// Where a statistic is in memory.
__device__ __forceinline__ char* generic_statistic_at(const OperandStatistic& statistic, u32 number, u32 head) {
  return static_cast<char*>(statistic.data) + (number * statistic.token + head * statistic.head) * 4;
}

// What the sums that `add_up(summand, mean)` gives come to, over so many lanes; or what is given.
template <class AddUp>
__device__ __forceinline__ GenericStatistic generic_statistic(const GenericRow& row, const OperandStatistic& given,
                                                              u32 number, u32 head, u32 lanes, const AddUp& add_up) {
  const GenericOperand& shape = row.shape;
  const auto kind = static_cast<NormKind>(shape.kind);
  const auto use = static_cast<StatisticUse>(shape.statistic);
  GenericStatistic result{};
  if (use == StatisticUse::given || use == StatisticUse::sum_given) {
    const float value = float_from_bits(load_word<4>(generic_statistic_at(given, number, head)).bits[0]);
    result.r =
        use == StatisticUse::given ? value : statistic_of_sum(kind, value, row.numbers.norm_share, row.lines.eps);
  } else {
    const float share = divide(1.0f, float_from_int(static_cast<i32>(lanes)));
    if (kind == NormKind::layer) {
      result.mean = multiply(add_up(Constant<static_cast<u32>(Summand::lane)>{}, 0.0f), share);
    }
    result.sum = add_up(Constant<static_cast<u32>(Summand::square)>{}, result.mean);
    result.r = statistic_of_sum(kind, result.sum, share, row.lines.eps);
  }
  if (shape.round_statistic != 0) result.r = generic_rounded(row.plan, result.r);
  return result;
}

__device__ __forceinline__ GenericStatistic statistic_of_head(const GenericRow& row, const OperandStatistic& given,
                                                              u32 number, u32 head) {
  return generic_statistic(row, given, number, head, row.shape.norm_lanes, [&](auto summand, float mean) {
    const float* const lanes = staged_row(row, head, place_of(row.shape, Stage::norm), {});
    return sum_of_row<static_cast<Summand>(decltype(summand)::number)>(row.shape, lanes, mean);
  });
}

__device__ __forceinline__ GenericStatistic statistic_of_token(const GenericRow& row, const OperandStatistic& given,
                                                               u32 number) {
  return generic_statistic(row, given, number, 0, row.shape.heads * row.shape.norm_lanes,
                           [&](auto summand, float mean) {
                             return sum_of_token<static_cast<Summand>(decltype(summand)::number)>(row, mean);
                           });
}

__device__ __forceinline__ void store_generic_statistic(const GenericOperand& shape, const OperandStatistic& to,
                                                        u32 number, u32 head, const GenericStatistic& statistic) {
  const bool is_sum = shape.statistic == static_cast<u32>(StatisticUse::sum_handed_out);
  store_word(generic_statistic_at(to, number, head), Word<4>{{bits_of(is_sum ? statistic.sum : statistic.r)}});
}

}  // namespace ropejit
