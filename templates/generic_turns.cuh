// What the generic kernel's plan makes of positions, angles and elements: the arithmetic of the other kernels, called
// with what it depends on.
#pragma once

#include "generic_plan.cuh"
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

// As positions_of.
__device__ __forceinline__ u32 generic_positions(const LaunchParams& params, const GenericPlan& plan,
                                                 const Token& token, i64 (&position)[MostAxes]) {
  u32 sequence = 0;
  const auto read = [&](auto source, auto context_parallel, auto axes) {
    constexpr KernelConfig C =
        position_config(decltype(source)::number, decltype(context_parallel)::number, decltype(axes)::number);
    i64 own[C.axes];
    sequence = positions_of<C>(params, token, own);
    for (u32 a = 0; a < C.axes; ++a) position[a] = own[a];
  };
  // Ids alone may have several axes, and take no part in context parallelism.
  if (plan.axes == 1) {
    visit_number<6>(plan.positions, [&](auto source) {
      visit_number<3>(plan.context_parallel, [&](auto parallel) { read(source, parallel, Constant<1>{}); });
    });
    return sequence;
  }
  visit_number<2>(plan.positions - static_cast<u32>(PositionSource::ids32), [&](auto source) {
    constexpr u32 number = static_cast<u32>(PositionSource::ids32) + decltype(source)::number;
    visit_number<3>(plan.axes - 2, [&](auto more) {
      read(Constant<number>{}, Constant<0>{}, Constant<2 + decltype(more)::number>{});
    });
  });
  return sequence;
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

// The place of a stage in the operand's list, or the list's end.
__device__ __forceinline__ u32 place_of(const GenericOperand& shape, Stage stage) {
  u32 place = 0;
  while (place < MostStages && shape.stages[place] != static_cast<u32>(stage)) ++place;
  return place;
}
__device__ __forceinline__ u32 place_of_rotate(const GenericOperand& shape) { return place_of(shape, Stage::rotate); }

// Elements that stay as they are are not unpacked: a NaN would lose its payload.
__device__ __forceinline__ bool keeps_bits(const GenericPlan& plan, const GenericOperand& shape, bool padded) {
  return padded && plan.padding == static_cast<u32>(Padding::keep) && plan.layout == plan.layout_out &&
         shape.element_out == plan.element;
}

struct PairValues {
  float first;
  float second;
};

// A pair once it is turned; padded ones come out as the plan says.
__device__ __forceinline__ PairValues turned(const GenericPlan& plan, float x, float y, CosSin turn, bool padded) {
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
  return {first, second};
}

// Whether the operand's list has the stage.
__device__ __forceinline__ bool has_stage(const GenericOperand& shape, Stage stage) {
  for (const u32 one : shape.stages) {
    if (one == static_cast<u32>(stage)) return true;
  }
  return false;
}

// The bits of an element that is copied.
__device__ __forceinline__ u32 copied(const GenericPlan& plan, const GenericOperand& shape, u32 bits) {
  return shape.element_out == plan.element ? bits : bits_of(shape.element_out, float_of(plan.element, bits));
}

}  // namespace ropejit
