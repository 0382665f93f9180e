// Random page tables, and lists that say where in them tokens stand.
#pragma once

#include <random>

#include "support/numeric_case.hpp"

namespace ropejit::test {

/// Has k and v of a case go where page tables say, each that goes to slots. Some requests, places and pages are none,
/// and some do not exist; no place is two tokens'.
void set_page_tables(std::mt19937_64& random, NumericCase& given);

}  // namespace ropejit::test
