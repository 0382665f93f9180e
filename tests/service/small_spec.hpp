// A spec that is compiled in a moment.
#pragma once

#include "ropejit/spec.hpp"

namespace ropejit::test {

/// Two heads of four lanes, all of which rotate, in fp32.
inline RopeSpec small_spec(double theta = 10000) {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.theta = theta;
  spec.rotary_dim = 4;
  spec.q = {2, 4, 0};
  return spec;
}

}  // namespace ropejit::test
