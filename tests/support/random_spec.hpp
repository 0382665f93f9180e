// Random but valid specs, forms and launches, the same for the same seed.
#pragma once

#include <cstddef>
#include <random>

#include "support/numeric_case.hpp"

namespace ropejit::test {

template <class T, std::size_t n>
T pick(std::mt19937_64& random, const T (&choices)[n]) {
  return choices[random() % n];
}

/// ROPEJIT_TEST_CASES: how many random cases a test draws; `usual` where it is not set.
int random_cases(int usual);

/// Any dimension, operand, dtype, layout, scaling, axes and rounding.
RopeSpec random_spec(std::mt19937_64& random);

/// Any spec, and any form that goes with it; a launch of a few thousand elements.
NumericCase random_case(std::mt19937_64& random);

}  // namespace ropejit::test
