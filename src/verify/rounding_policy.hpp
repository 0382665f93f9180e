// What the rounding policies of include/ropejit/spec.hpp allow a lane of a rotated pair to be, and the bits it must
// have where cos and sin are known.
#pragma once

#include "ropejit/spec.hpp"
#include "verify/element.hpp"

namespace ropejit::internal {

struct RoundingRule {
  Rounding rounding = Rounding::exact;
  DType dtype = DType::bf16;  ///< the dtype of the tensor that is read
  DType out = DType::bf16;    ///< the dtype of the tensor that is written
};

/// x cos + y sin. The first lane of a pair is that of (x_a, cos, x_b, -sin), the second of (x_b, cos, x_a, sin).
struct LaneTerms {
  double x = 0;
  double cos = 0;
  double y = 0;
  double sin = 0;
  double x_error = 0;  ///< the most by which the x that is rotated may differ from this one
  double y_error = 0;
};

struct LaneBound {
  double value = 0;
  double bound = 0;              ///< the most that |result - value| may be
  double slack = 0;              ///< what of it is not the last rounding
  DType overflow = DType::bf16;  ///< the type among those that values are rounded to that overflows first
};

/// The value and its bound, where every rounding costs half an ulp of what it may round, and cos, sin and arithmetic in
/// fp32 cost together 2^-20 scale (|x| + |y|). `scale`: the length of (cos, sin). Errors of x and y are turned with
/// them, and what is rounded may be greater by them.
LaneBound lane_bound(const RoundingRule& rule, const LaneTerms& terms, double scale);

/// The bits for p1, p2 and p3, where x, y, cos and sin are the very numbers that the policy rounds, and fp32 holds
/// them.
ElementBits lane_bits(const RoundingRule& rule, const LaneTerms& terms);

}  // namespace ropejit::internal
