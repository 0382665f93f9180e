// What the generic kernel (generic.cuh) reads of its plan, as the library writes it into the kernel's binary. Shared by
// device code and by the library's host code: plain fixed-width members, the same layout on both sides.
#pragma once

#include "stage.cuh"

namespace ropejit {

enum : unsigned { MostGenericPairs = 2048, MostGenericOperands = 4, MostNormedLanes = 1024 };

// One operand, as OperandConfig of config.cuh has it.
struct GenericOperand {
  unsigned heads;
  unsigned head_dim;
  unsigned first_lane;
  unsigned stages[MostStages];
  unsigned out_of_place;
  unsigned element_out;
  unsigned rows;
  unsigned norm_weight;  // as NormConfig, whose later members stand behind `statistic`
  unsigned round_normed;
  unsigned round_weighted;
  unsigned beside;
  unsigned statistic;
  unsigned kind;
  unsigned span;
  unsigned weights;
  unsigned plus_one;
  unsigned has_bias;
  unsigned round_statistic;
  unsigned round_biased;
  unsigned norm_first_lane;
  unsigned norm_lanes;
  unsigned tau_steps;  // as TemperatureConfig
  unsigned tau_plus_one;
  unsigned round_tau;
  unsigned round_bias;
  unsigned round_scale;
  unsigned round_rotation;
  unsigned no_store;
  unsigned group_heads;
  unsigned requests;
  unsigned places;
  unsigned split_lanes;
};

// A plan: as KernelConfig and PlanData; enumerators by their numbers in config.cuh. The members from `layout` to
// `ready_lists` stand in the order of the fields of a class (spec/class_fields.hpp), by which they are filled.
struct GenericPlan {
  unsigned char mark[32];  // by which the plan's place is found in a binary, once it is built
  unsigned layout;
  unsigned element;
  unsigned negate_sin;
  unsigned scaled;
  unsigned rotary_dim;
  GenericOperand operand[MostGenericOperands];
  unsigned operands;
  unsigned positions;
  unsigned layout_out;
  unsigned section_pairs;
  unsigned rounding;
  unsigned sine;
  unsigned axes;
  unsigned context_parallel;
  unsigned angles;
  unsigned table_element;
  unsigned table_use;
  unsigned padding;
  unsigned counted;
  unsigned overlaps_previous;
  unsigned ready_lists;     // which this kernel has no use for
  unsigned by_rows;         // the layout changes in place
  unsigned buffered_steps;  // steps and scale come with the launch
  float attention_scale;
  unsigned char pair_axes[MostGenericPairs];
  unsigned long long steps[MostGenericPairs];
};

}  // namespace ropejit
