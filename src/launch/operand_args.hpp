// What a launch brings for one operand, by its name; and where it stands among a kernel's parameters.
#pragma once

#include <cstddef>
#include <cstdint>

#include "launch_params.cuh"
#include "ropejit/tensor.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// The members of RopeArgs that say how a list of slots and its pages lie.
struct SlotMembers {
  std::int64_t RopeArgs::*block_size;
  std::int64_t RopeArgs::*count;
  std::int64_t RopeArgs::*stride;
};

/// The members of RopeArgs that are one operand's. q has no rows, and the gate none of what stages read.
struct OperandMembers {
  TensorView RopeArgs::*in;
  TensorView RopeArgs::*out;
  const void* RopeArgs::*weight = nullptr;
  const void* RopeArgs::*norm_bias = nullptr;
  const void* RopeArgs::*bias = nullptr;
  const float* RopeArgs::*head_scales = nullptr;
  v0::NormStatistic RopeArgs::*statistic = nullptr;  // the oracle, too, has a type of that name
  NormStatisticOut RopeArgs::*statistic_out = nullptr;
  const void* RopeArgs::*rows = nullptr;
  std::int64_t RopeArgs::*cache_rows = nullptr;
  SlotMembers slots = {};
  TensorView RopeArgs::*beside = nullptr;  ///< what is written beside the cache
  PageTable RopeArgs::*table = nullptr;
  std::int64_t RopeArgs::*split_stride = nullptr;  ///< of k alone

  bool has_stages() const { return weight != nullptr; }
};

constexpr OperandMembers members_of(OperandName name) noexcept {
  switch (name) {
    case OperandName::q: break;
    case OperandName::k:
      return {&RopeArgs::k,
              &RopeArgs::k_out,
              &RopeArgs::k_norm_weight,
              &RopeArgs::k_norm_bias,
              &RopeArgs::k_bias,
              &RopeArgs::k_head_scales,
              &RopeArgs::k_norm_statistic,
              &RopeArgs::k_norm_statistic_out,
              &RopeArgs::k_rows,
              &RopeArgs::k_cache_rows,
              {&RopeArgs::k_block_size, &RopeArgs::k_slot_count, &RopeArgs::k_slot_stride},
              &RopeArgs::k_beside,
              &RopeArgs::k_page_table,
              &RopeArgs::k_split_stride};
    case OperandName::v:
      return {&RopeArgs::v,
              &RopeArgs::v_out,
              &RopeArgs::v_norm_weight,
              &RopeArgs::v_norm_bias,
              &RopeArgs::v_bias,
              &RopeArgs::v_head_scales,
              &RopeArgs::v_norm_statistic,
              &RopeArgs::v_norm_statistic_out,
              &RopeArgs::v_rows,
              &RopeArgs::v_cache_rows,
              {&RopeArgs::v_block_size, &RopeArgs::v_slot_count, &RopeArgs::v_slot_stride},
              &RopeArgs::v_beside,
              &RopeArgs::v_page_table};
    case OperandName::gate: return {&RopeArgs::gate, &RopeArgs::gate_out};
  }
  return {&RopeArgs::q,      &RopeArgs::q_out,         &RopeArgs::q_norm_weight,    &RopeArgs::q_norm_bias,
          &RopeArgs::q_bias, &RopeArgs::q_head_scales, &RopeArgs::q_norm_statistic, &RopeArgs::q_norm_statistic_out};
}

/// What SlotMembers point to; of q what means nothing.
struct SlotArgs {
  std::int64_t block_size = 0;
  std::int64_t count = kEveryToken;
  std::int64_t stride = 1;

  friend bool operator==(const SlotArgs&, const SlotArgs&) = default;
};

/// Parts of RopeArgs, which must outlive it.
struct OperandArgs {
  const TensorView* in;
  const TensorView* out;
  const void* rows;
  std::int64_t cache_rows;
  SlotArgs slots;
  const TensorView* beside;  ///< what is written beside the cache; null: no such tensor is given
  const PageTable* table;    ///< null: the operand has none
  std::int64_t split_stride;

  bool is_given() const { return in->data != nullptr; }
};

inline OperandArgs args_of(const RopeArgs& args, OperandName name) noexcept {
  const OperandMembers members = members_of(name);
  const bool has_rows = members.rows != nullptr;
  return {&(args.*members.in),
          &(args.*members.out),
          has_rows ? args.*members.rows : nullptr,
          has_rows ? args.*members.cache_rows : 0,
          has_rows ? SlotArgs{args.*members.slots.block_size, args.*members.slots.count, args.*members.slots.stride}
                   : SlotArgs{},
          members.beside != nullptr && (args.*members.beside).data != nullptr ? &(args.*members.beside) : nullptr,
          members.table != nullptr ? &(args.*members.table) : nullptr,
          members.split_stride != nullptr ? args.*members.split_stride : kContiguous};
}

/// Where the parameters of what operand `index` writes beside its cache, apart from what it reads, are.
inline BesideStore& beside_of(const KernelClass& kernel_class, StoreParams& params, std::size_t index) noexcept {
  for (std::size_t i = 0; i < index; ++i) {
    if (kernel_class.operands[i].beside == Beside::apart) return params.second_beside;
  }
  return params.beside;
}
inline const BesideStore& beside_of(const KernelClass& kernel_class, const StoreParams& params,
                                    std::size_t index) noexcept {
  return beside_of(kernel_class, const_cast<StoreParams&>(params), index);
}

/// The operands of a class and of a launch side by side: visit(index, operand, args) for those of the class, in its
/// order, until it returns false. False then, and where the launch brings a tensor that the class does not have.
template <class Visit>
bool for_each_operand(const KernelClass& kernel_class, const RopeArgs& args, const Visit& visit) noexcept {
  std::size_t index = 0;
  const OperandArgs all[] = {args_of(args, OperandName::q), args_of(args, OperandName::k),
                             args_of(args, OperandName::v), args_of(args, OperandName::gate)};
  for (std::size_t name = 0; name < kMostOperands; ++name) {
    const OperandArgs& given = all[name];
    if (index < kernel_class.operands.size() && kernel_class.operands[index].name == static_cast<OperandName>(name)) {
      if (!visit(index, kernel_class.operands[index], given)) return false;
      ++index;
    } else if (given.is_given() || given.out->data != nullptr || given.beside != nullptr) {
      return false;
    }
  }
  return true;
}

/// The parameters of operand `index` of a class: as OperandParams, less its first block.
inline void set_operand(MoreLaunchParams& params, std::size_t index, const void* in, void* out,
                        const TensorStrides& strides, const OperandArgs& args) noexcept {
  if (index == 0) {
    params.q_in = in;
    params.q_out = out;
    params.q_strides = strides;
  } else if (index == 1) {
    params.k_in = in;
    params.k_out = out;
    params.k_strides = strides;
    params.k_rows = args.rows;
    params.k_cache_rows = args.cache_rows;
  } else {
    params.more[index - 2] = {out, in, args.rows, args.cache_rows, strides, 0};
  }
}

/// The strides of operand `index`.
inline const TensorStrides& strides_of(const MoreLaunchParams& params, std::size_t index) noexcept {
  if (index == 0) return params.q_strides;
  return index == 1 ? params.k_strides : params.more[index - 2].strides;
}

/// Where operand `index` is read and written.
inline const void* input_of(const MoreLaunchParams& params, std::size_t index) noexcept {
  return index == 0 ? params.q_in : index == 1 ? params.k_in : params.more[index - 2].in;
}
inline void* output_of(const MoreLaunchParams& params, std::size_t index) noexcept {
  return index == 0 ? params.q_out : index == 1 ? params.k_out : params.more[index - 2].out;
}

}  // namespace ropejit::internal
