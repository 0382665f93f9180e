// A lane on its way through an operand's stages: what it is in wide arithmetic, and how far what is computed in fp32
// may be from that.
#pragma once

#include "ropejit/spec.hpp"
#include "verify/element.hpp"

namespace ropejit::internal {

/// Without an error the lane is known: it is this very number of fp32, for as long as it meets known numbers alone. An
/// infinity or a NaN is certain. An infinite error: whether the lane overflowed is not known.
struct LaneValue {
  double value = 0;
  double error = 0;         ///< the most by which what is computed may differ
  bool is_element = false;  ///< it is rounded to the spec's dtype, wherever within the error it is
};

/// One rounding more, of what was computed in fp32.
LaneValue in_fp32(const LaneValue& lane);
/// A rounding point: to the spec's dtype.
LaneValue narrowed(DType dtype, const LaneValue& lane);

/// Before they are rounded. A factor or summand that is a constant has no error.
LaneValue product(const LaneValue& a, const LaneValue& b);
LaneValue sum(const LaneValue& a, const LaneValue& b);
/// Within -limit and limit; a NaN stays.
LaneValue held(const LaneValue& lane, double limit);

}  // namespace ropejit::internal
