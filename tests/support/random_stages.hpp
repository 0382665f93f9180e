// Random specs whose operands go through stages of every kind, with the forms and launches that go with them.
#pragma once

#include <random>

#include "support/numeric_case.hpp"

namespace ropejit::test {

/// A norm of any kind, span and shape of weights that the operand may have. It is computed.
Norm random_norm_of_any_kind(std::mt19937_64& random, const RopeSpec& spec, const Operand& operand, bool rotates);

/// Whether a norm may hand its statistic out.
bool hands_out(const std::optional<Norm>& norm);

/// Any stages of all operands in any order, any rounding points, any form; a launch of a few thousand elements.
NumericCase random_staged_case(std::mt19937_64& random);

}  // namespace ropejit::test
