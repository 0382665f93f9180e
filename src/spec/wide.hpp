// The arithmetic of frequencies: binary floating point of any width, the same on every machine.
#pragma once

#include <boost/multiprecision/cpp_bin_float.hpp>
#include <limits>

namespace ropejit::internal {

// Expression templates cost compile time and win nothing here.
template <unsigned Bits>
using Wide =
    boost::multiprecision::number<boost::multiprecision::cpp_bin_float<Bits, boost::multiprecision::digit_base_2>,
                                  boost::multiprecision::et_off>;

/// Call before the first log, exp or acos of W. Boost's series end at the epsilon of a type that it fills in at the
/// first use, without a lock: a second thread could meet one that is half made, and be given a series cut short. So
/// could a child that is forked meanwhile: whoever uses it has it filled in when the library is loaded, too.
template <class W>
void fill_in_limits() {
  static const bool filled_in = [] {
    using Limits = std::numeric_limits<
        boost::multiprecision::number<typename W::backend_type, boost::multiprecision::et_on>>;  // the series' own type
    static_cast<void>(Limits::epsilon());
    static_cast<void>(Limits::infinity());
    static_cast<void>(Limits::quiet_NaN());
    static_cast<void>((Limits::max)());
    return true;
  }();
  static_cast<void>(filled_in);
}

template <class W>
W two_pi() {
  return 2 * acos(W(-1));
}

}  // namespace ropejit::internal
