// What the generic kernel (generic.cuh) reads of its plan, as the library writes it into the kernel's binary. Shared by
// device code and by the library's host code: plain fixed-width members, no includes, the same layout on both sides.
#pragma once

namespace ropejit {

// As OperandShape of config.cuh.
struct GenericOperand {
  unsigned heads;
  unsigned head_dim;
  unsigned first_lane;
  unsigned copies_still_lanes;
  unsigned element_out;
};

enum : unsigned { MostGenericPairs = 2048 };

// As KernelConfig and PlanData; enumerators by their numbers in config.cuh.
struct GenericPlan {
  unsigned char mark[32];  // by which the plan's place is found in a binary, once it is built
  unsigned layout;
  unsigned layout_out;
  unsigned element;
  unsigned rotary_dim;
  unsigned section_pairs;
  GenericOperand q;
  GenericOperand k;
  unsigned positions;
  unsigned context_parallel;
  unsigned axes;
  unsigned angles;
  unsigned table_element;
  unsigned table_use;
  unsigned sine;
  unsigned negate_sin;
  unsigned scaled;
  unsigned rounding;
  unsigned padding;
  unsigned k_rows;
  unsigned counted;
  unsigned overlaps_previous;
  unsigned by_rows;         // the layout changes in place
  unsigned buffered_steps;  // steps and scale come with the launch
  float attention_scale;
  unsigned char pair_axes[MostGenericPairs];
  unsigned long long steps[MostGenericPairs];
};

}  // namespace ropejit
