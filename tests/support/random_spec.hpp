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

/// Whether operands may have norms, and forms slots. Without them no number is drawn for them: goldens are of those
/// draws.
enum class Norms { none, some };

/// Any dimension, operand, dtype, layout, scaling, axes, rounding and norms.
RopeSpec random_spec(std::mt19937_64& random, Norms norms = Norms::some);

/// Whether such a spec may have a norm over such a head.
bool may_be_normed(const RopeSpec& spec, const Operand& operand);

Norm random_norm(std::mt19937_64& random);

/// Any spec, and any form that goes with it; a launch of a few thousand elements.
NumericCase random_case(std::mt19937_64& random, Norms norms = Norms::some);

}  // namespace ropejit::test
