// The plan: what is computed, with the model lowered away. A KernelClass is all that a kernel's code depends on;
// the data (steps and attention scale) is what its numbers depend on. Two specs with one plan share one binary.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// q or k as a kernel sees it. heads 0: the operand is absent.
struct PlanOperand {
  std::uint32_t heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t first_lane = 0;
  Placement placement = Placement::in_place;
  DType dtype_out = DType::bf16;  ///< another than the class's dtype out of place only

  bool in_place() const { return placement == Placement::in_place; }
};

/// What cos and sin of a caller's table become: the inverse of what the table says; or of length 1, a negative position
/// turning back (Direction::shift).
enum class TableUse { as_given, inverse, shift };

struct KernelClass {
  Layout layout = Layout::split_half;      ///< read
  Layout layout_out = Layout::split_half;  ///< written
  std::uint32_t section_pairs = 0;         ///< of Layout::split_sections; all pairs for the other layouts
  DType dtype = DType::bf16;
  bool negate_sin = false;  ///< sigma = -1: the adjoint and the inverse
  bool scaled = false;      ///< cos and sin are multiplied by the plan's attention_scale
  Rounding rounding = Rounding::exact;
  bool fp32_angle = false;  ///< the angle is an fp32 product, and the plan's steps the bits of fp32 frequencies
  Sine sine = Sine::polynomial;
  std::uint32_t rotary_dim = 0;
  PlanOperand q;
  PlanOperand k;
  Strides strides = Strides::contiguous;
  PositionSource positions = PositionSource::ids64;
  /// The axis of each pair; empty where tokens have one position.
  std::vector<std::uint8_t> pair_axes;
  std::uint32_t axes = 1;
  ContextParallel context_parallel = ContextParallel::none;
  AngleSource angles = AngleSource::computed;
  DType table_dtype = DType::fp32;  ///< fp32 where angles are computed
  TableUse table_use = TableUse::as_given;
  Padding padding = Padding::rotate;
  CacheRows k_rows = CacheRows::none;
  bool counted = false;
  bool overlaps_previous = false;

  bool reads_table() const { return angles != AngleSource::computed; }
  bool has_k() const { return k.heads != 0; }
  /// The layout changes in place, for one operand at least: a row must be read whole before any of it is written.
  bool by_rows() const { return layout != layout_out && (q.in_place() || (has_k() && k.in_place())); }

  std::uint32_t pairs() const { return rotary_dim / 2; }

  /// Every field in one line, in a fixed order: the preimage of hashes and keys. Changing it invalidates caches.
  std::string text() const;
  /// 32 hex digits.
  std::string hash() const;
};

struct RotationPlan {
  KernelClass kernel_class;
  /// Turns per position of each pair, as fractions of 2^64: round(w_i / (2 pi) * 2^64) mod 2^64. For fp32_angle the
  /// bits of w_i rounded to fp32. Empty where the kernel reads a table (such plans do not depend on theta and scaling),
  /// and where the scaling depends on a length that is not known yet (needs_length).
  std::vector<std::uint64_t> steps;
  /// A, multiplied into cos and sin (as a float); 1 for most rules.
  double attention_scale = 1.0;
  /// w_i in radians per position, rounded to double: for people to read, not part of the plan's identity.
  std::vector<double> inv_freq;
  bool needs_length = false;  ///< variants with steps in a buffer alone serve it

  /// 32 hex digits over class, steps and scale.
  std::string hash() const;
};

}  // namespace ropejit::internal
