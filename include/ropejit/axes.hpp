// Axes say which of a token's positions turns which pair. Text has one position a token; images and video have two to
// four (time, height, width), and each pair turns by one of them. The kernel reads them as rows of ids: see
// Positions::axis_stride. Where a form's positions are not ids, a token's positions are all the same.
#pragma once

#include <cstdint>
#include <vector>

#include "ropejit/export.hpp"

namespace ropejit {
inline namespace v0 {

/// How the pairs are dealt to the axes. n: the number of axes, s_a: Axes::sections[a].
enum class AxisOrder {
  chunked,      ///< one section after another: Qwen2-VL's M-RoPE, HunYuan's XD-RoPE, 2-D vision towers
  interleaved,  ///< pair i to axis i % n while i < n * s_(i % n), all others to axis 0: Qwen3-VL
  alternating,  ///< axes 1 and 2 by turns, then axis 0: ERNIE 4.5-VL; three axes, s_1 == s_2
};

/// The frequency of a pair that is the j-th of its axis a; f_i = theta^(-2i / rotary_dim).
enum class AxisFrequencies {
  shared,     ///< the pair's own w_i, whichever its axis: M-RoPE
  restarted,  ///< theta^(-2j / (2 s_a)): every axis begins again (vision towers of Qwen, Llama 4, Gemma 4)
  strided,    ///< f_(n j + a): the axes take turns in the list of frequencies (Pixtral)
};

/// How a spec deals its pairs to axes. A default one has one axis.
struct Axes {
  /// The pairs of each axis. Empty: one axis, and order and frequencies keep their defaults. Else 2 to 4 numbers of 0
  /// or more, which add up to rotary_dim / 2 and agree with the order.
  std::vector<std::int64_t> sections;
  AxisOrder order = AxisOrder::chunked;  ///< which pairs the numbers of sections are of
  /// restarted and strided go with the scaling rules default and linear alone.
  AxisFrequencies frequencies = AxisFrequencies::shared;
};

ROPEJIT_EXPORT bool operator==(const Axes& a, const Axes& b) noexcept;
inline bool operator!=(const Axes& a, const Axes& b) noexcept { return !(a == b); }

ROPEJIT_EXPORT const char* to_string(AxisOrder order) noexcept;
ROPEJIT_EXPORT const char* to_string(AxisFrequencies frequencies) noexcept;

}  // namespace v0
}  // namespace ropejit
