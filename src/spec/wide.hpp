// The arithmetic of frequencies: binary floating point of any width, the same on every machine.
#pragma once

#include <boost/multiprecision/cpp_bin_float.hpp>

namespace ropejit::internal {

// Expression templates cost compile time and win nothing here.
template <unsigned Bits>
using Wide =
    boost::multiprecision::number<boost::multiprecision::cpp_bin_float<Bits, boost::multiprecision::digit_base_2>,
                                  boost::multiprecision::et_off>;

template <class W>
W two_pi() {
  return 2 * acos(W(-1));
}

}  // namespace ropejit::internal
