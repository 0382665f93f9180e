// The plan: what is computed, with the model lowered away. A KernelClass is all that a kernel's code depends on;
// the data (steps and attention scale) is what its numbers depend on. Two specs with one plan share one binary.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// Shape of q or k as a kernel sees it. heads 0: the operand is absent.
struct PlanOperand {
  std::uint32_t heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t first_lane = 0;
};

struct KernelClass {
  Layout layout = Layout::split_half;      ///< read
  Layout layout_out = Layout::split_half;  ///< written; another one out of place only
  DType dtype = DType::bf16;
  bool negate_sin = false;  ///< sigma = -1: the adjoint and the inverse
  bool scaled = false;      ///< cos and sin are multiplied by the plan's attention_scale
  std::uint32_t rotary_dim = 0;
  PlanOperand q;
  PlanOperand k;
  Placement placement = Placement::in_place;
  Strides strides = Strides::contiguous;
  PositionSource positions = PositionSource::ids64;
  AngleSource angles = AngleSource::computed;
  DType table_dtype = DType::fp32;  ///< fp32 where angles are computed

  bool reads_table() const { return angles != AngleSource::computed; }

  std::uint32_t pairs() const { return rotary_dim / 2; }

  /// Every field in one line, in a fixed order: the preimage of hashes and keys. Changing it invalidates caches.
  std::string text() const;
  /// 32 hex digits.
  std::string hash() const;
};

struct RotationPlan {
  KernelClass kernel_class;
  /// Turns per position of each pair, as fractions of 2^64: round(w_i / (2 pi) * 2^64) mod 2^64. Empty where the kernel
  /// reads a table: such plans do not depend on theta and scaling.
  std::vector<std::uint64_t> steps;
  /// A, multiplied into cos and sin (as a float); 1 for most rules.
  double attention_scale = 1.0;
  /// w_i in radians per position, rounded to double: for people to read, not part of the plan's identity.
  std::vector<double> inv_freq;

  /// 32 hex digits over class, steps and scale.
  std::string hash() const;
};

}  // namespace ropejit::internal
