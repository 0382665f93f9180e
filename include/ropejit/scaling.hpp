// The context-extension rules: each is a struct of its own parameters, in the words of Hugging Face's
// `rope_scaling` dictionaries. A rule only chooses the frequencies w_i of the pairs; with
// f_i = theta^(-2i / rotary_dim) and i = 0 .. rotary_dim/2 - 1:
#pragma once

#include <cstdint>
#include <variant>

namespace ropejit {
inline namespace v0 {

/// w_i = f_i (Su et al., RoFormer, arXiv:2104.09864).
struct NoScaling {};

/// w_i = f_i / factor: positions are interpolated (Chen et al., arXiv:2306.15595).
struct LinearScaling {
  double factor = 1.0;  ///< finite, above 0
};

/// Llama 3.1's rule. With wavelength W_i = 2 pi / f_i and L = original_max_position_embeddings:
/// W_i < L / high_freq_factor keeps f_i; W_i > L / low_freq_factor gives f_i / factor; between them
/// m = (L / W_i - low) / (high - low) blends (1 - m) f_i / factor + m f_i. With low == high there is no between.
struct Llama3Scaling {
  double factor = 8.0;                                   ///< finite, above 0
  double low_freq_factor = 1.0;                          ///< finite, above 0, at most high_freq_factor
  double high_freq_factor = 4.0;                         ///< finite
  std::int64_t original_max_position_embeddings = 8192;  ///< tokens, above 0
};

using Scaling = std::variant<NoScaling, LinearScaling, Llama3Scaling>;

inline bool operator==(const NoScaling&, const NoScaling&) noexcept { return true; }
inline bool operator==(const LinearScaling& a, const LinearScaling& b) noexcept { return a.factor == b.factor; }
inline bool operator==(const Llama3Scaling& a, const Llama3Scaling& b) noexcept {
  return a.factor == b.factor && a.low_freq_factor == b.low_freq_factor && a.high_freq_factor == b.high_freq_factor &&
         a.original_max_position_embeddings == b.original_max_position_embeddings;
}

}  // namespace v0
}  // namespace ropejit
