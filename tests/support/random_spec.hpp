// Random but valid specs, forms and launches, the same for the same seed.
#pragma once

#include <random>

#include "support/numeric_case.hpp"

namespace ropejit::test {

/// Any dimension, operand, dtype, layout, scaling and form; a launch of a few thousand elements.
NumericCase random_case(std::mt19937_64& random);

}  // namespace ropejit::test
