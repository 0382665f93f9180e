// The RMS norm's own bits, in plain C++, from the words at the top of templates/norm.cuh: what the oracle knows within
// a bound alone, kernels must give exactly.
#pragma once

#include <cstdint>

#include "ropejit/spec.hpp"
#include "support/direct_launch.hpp"

namespace ropejit::test {

/// r of one head, whose lanes are numbers of fp32.
float reference_reciprocal(const std::vector<double>& lanes, double eps);

/// All heads of an operand after its norm: elements of the spec's dtype, as RoundAfter::weight leaves them. The spec
/// must have it, or be fp32.
Bits reference_normed(const RopeSpec& spec, const Operand& operand, const Bits& in, const Bits& weight);

}  // namespace ropejit::test
