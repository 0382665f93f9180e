// The context-extension rules: each is a struct of its own parameters, in the words of Hugging Face's
// `rope_scaling` dictionaries (the name in brackets is its rope_type). A rule chooses the frequencies w_i of the pairs
// and the attention scale A, which multiplies cos and sin (so scores of q and k get A^2). Below,
//     d = rotary_dim, i = 0 .. d/2 - 1, b = theta, f_i = b^(-2i / d), s = factor,
//     L = original_max_position_embeddings, M = max_position_embeddings, S = RopeSpec::max_length,
//     g(s, m) = 1 where s <= 1, else 0.1 m ln(s) + 1
// and A = 1 where nothing is said of it. Every number is finite; "above 0" leaves 0 out. A must come out between 2^-20
// and 2^20. Where implementations differ, Hugging Face's behaviour is the default and the difference an option.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

namespace ropejit {
inline namespace v0 {

/// [default] w_i = f_i (Su et al., RoFormer, arXiv:2104.09864).
struct NoScaling {};

/// [linear] w_i = f_i / factor: positions are interpolated (Chen et al., arXiv:2306.15595).
struct LinearScaling {
  double factor = 1.0;  ///< above 0
};

/// [dynamic] The base grows with the length: w_i = B^(-2i/d), B = b (s S' / M - (s - 1))^(d / (d - 2)) with
/// S' = max(S, M). Needs RopeSpec::max_length and d >= 4. Implementations recompute it for each new longest sequence,
/// and keys that are cached keep the older base; here one length serves all. vLLM's S is always s M.
struct DynamicScaling {
  double factor = 1.0;                          ///< above 0
  std::int64_t max_position_embeddings = 2048;  ///< M, tokens, above 0: the length the model was trained for
};

/// [ntk] NTK-aware with a fixed stretch: w_i = B^(-2i/d), B = b alpha^(d / (d - 2)); d >= 4. It is what HunYuan's
/// configs mean by `dynamic` with an `alpha`.
struct NtkScaling {
  double alpha = 1.0;  ///< above 0
};

/// [yarn] Fast pairs keep f_i, slow ones get f_i / s, a ramp blends between (Peng et al., arXiv:2309.00071):
///     c(n) = d ln(L / (2 pi n)) / (2 ln b), lo = c(beta_fast), hi = c(beta_slow); with truncate, floor(lo) and
///     ceil(hi); lo = max(lo, 0), hi = min(hi, d - 1); where lo == hi, hi += 0.001
///     r_i = (i - lo) / (hi - lo) clamped to [0, 1];  m_i = (1 - r_i) extrapolation_factor
///     w_i = (1 - m_i) f_i / s + m_i f_i
/// A = attention_factor where given; else attn_factor times g(s, mscale) / g(s, mscale_all_dim) where neither of the
/// two is 0, and times g(s, 1) otherwise. vLLM's `yarn` knows neither mscale: leave them 0. Its apply_yarn_scaling =
/// false is attention_factor = attn_factor. Needs theta above 1.
struct YarnScaling {
  double factor = 1.0;                                    ///< s, above 0. Hugging Face takes M / L where it is absent.
  std::int64_t original_max_position_embeddings = 4096;   ///< L, tokens, above 0
  double beta_fast = 32.0;                                ///< turns within L, above 0, at least beta_slow
  double beta_slow = 1.0;                                 ///< turns within L, above 0
  bool truncate = true;                                   ///< round lo and hi outward to whole pairs
  std::optional<double> attention_factor = std::nullopt;  ///< above 0; wins over every formula of A
  double mscale = 0.0;                                    ///< 0 (absent) to 1,000,000
  double mscale_all_dim = 0.0;                            ///< 0 (absent) to 1,000,000
  double extrapolation_factor = 1.0;                      ///< vLLM's option, 0 to 1
  double attn_factor = 1.0;                               ///< vLLM's option, above 0
  /// The model multiplies its softmax scale by g(s, mscale_all_dim)^2 (DeepSeek, Mistral 4). It changes no rotation:
  /// see RopeSpec::softmax_scale.
  bool scale_softmax = false;
};

/// [longrope] w_i = f_i / e_i with e = long_factor where S > L, else short_factor (Ding et al., arXiv:2402.13753).
/// A = long_mscale or short_mscale, by the same test, where given (PhiMoE); else attention_factor where given; else 1
/// where s <= 1 and sqrt(1 + ln s / ln L) otherwise. Needs RopeSpec::max_length: one choice for all positions, as
/// vLLM's by its max_model_len. Hugging Face chooses at every call, by the largest position in it.
struct LongRopeScaling {
  std::vector<double> short_factor;                      ///< one a pair, each above 0
  std::vector<double> long_factor;                       ///< one a pair, each above 0
  std::int64_t original_max_position_embeddings = 4096;  ///< L, tokens, 2 or more
  std::optional<double> factor = std::nullopt;           ///< s, above 0. Needed where nothing else gives A. Else M / L.
  std::optional<double> attention_factor = std::nullopt;  ///< above 0
  std::optional<double> short_mscale = std::nullopt;      ///< above 0
  std::optional<double> long_mscale = std::nullopt;       ///< above 0
};

/// [llama3] Llama 3.1's rule. With wavelength W_i = 2 pi / f_i: W_i < L / high_freq_factor keeps f_i;
/// W_i > L / low_freq_factor gives f_i / factor; between them m = (L / W_i - low) / (high - low) blends
/// (1 - m) f_i / factor + m f_i. With low == high there is no between.
struct Llama3Scaling {
  double factor = 8.0;                                   ///< above 0
  double low_freq_factor = 1.0;                          ///< above 0, at most high_freq_factor
  double high_freq_factor = 4.0;                         ///< above 0
  std::int64_t original_max_position_embeddings = 8192;  ///< L, tokens, above 0
};

/// [proportional] Gemma 4's rule: w_i = f_i / factor for i < int(partial_rotary_factor d / 2), 0 for the rest. d is the
/// whole head: pairs that do not turn stay among its pairs, unlike those of a smaller rotary_dim.
struct ProportionalScaling {
  double factor = 1.0;                 ///< above 0
  double partial_rotary_factor = 1.0;  ///< above 0, at most 1
};

/// [deepseek_yarn] YaRN as DeepSeek's own code and vLLM's deepseek_yarn have it: the frequencies of [yarn], always
/// truncated; A = attn_factor g(s, mscale) / g(s, mscale_all_dim), whichever of them is 0; and the softmax scale times
/// g(s, mscale_all_dim)^2, see RopeSpec::softmax_scale. Needs theta above 1.
struct DeepseekYarnScaling {
  double factor = 1.0;                                   ///< s, above 0
  std::int64_t original_max_position_embeddings = 4096;  ///< L, tokens, above 0
  double beta_fast = 32.0;                               ///< turns within L, above 0, at least beta_slow
  double beta_slow = 1.0;                                ///< turns within L, above 0
  double mscale = 1.0;                                   ///< 0 to 1,000,000
  double mscale_all_dim = 0.0;                           ///< 0 to 1,000,000
  double extrapolation_factor = 1.0;                     ///< 0 to 1
  double attn_factor = 1.0;                              ///< above 0
};

/// [inv_freq] The frequencies themselves: w_i = inv_freq[i]; theta is not used. A = attention_factor where given.
struct InvFreqScaling {
  std::vector<double> inv_freq;                           ///< radians per position, one a pair, each 0 to 1e300
  std::optional<double> attention_factor = std::nullopt;  ///< above 0
};

/// One of the rules above, in RopeSpec::scaling.
using Scaling = std::variant<NoScaling, LinearScaling, Llama3Scaling, DynamicScaling, NtkScaling, YarnScaling,
                             LongRopeScaling, ProportionalScaling, DeepseekYarnScaling, InvFreqScaling>;

inline bool operator==(const NoScaling&, const NoScaling&) noexcept { return true; }
inline bool operator==(const LinearScaling& a, const LinearScaling& b) noexcept { return a.factor == b.factor; }
inline bool operator==(const DynamicScaling& a, const DynamicScaling& b) noexcept {
  return a.factor == b.factor && a.max_position_embeddings == b.max_position_embeddings;
}
inline bool operator==(const NtkScaling& a, const NtkScaling& b) noexcept { return a.alpha == b.alpha; }
inline bool operator==(const YarnScaling& a, const YarnScaling& b) noexcept {
  return a.factor == b.factor && a.original_max_position_embeddings == b.original_max_position_embeddings &&
         a.beta_fast == b.beta_fast && a.beta_slow == b.beta_slow && a.truncate == b.truncate &&
         a.attention_factor == b.attention_factor && a.mscale == b.mscale && a.mscale_all_dim == b.mscale_all_dim &&
         a.extrapolation_factor == b.extrapolation_factor && a.attn_factor == b.attn_factor &&
         a.scale_softmax == b.scale_softmax;
}
inline bool operator==(const LongRopeScaling& a, const LongRopeScaling& b) noexcept {
  return a.short_factor == b.short_factor && a.long_factor == b.long_factor &&
         a.original_max_position_embeddings == b.original_max_position_embeddings && a.factor == b.factor &&
         a.attention_factor == b.attention_factor && a.short_mscale == b.short_mscale && a.long_mscale == b.long_mscale;
}
inline bool operator==(const Llama3Scaling& a, const Llama3Scaling& b) noexcept {
  return a.factor == b.factor && a.low_freq_factor == b.low_freq_factor && a.high_freq_factor == b.high_freq_factor &&
         a.original_max_position_embeddings == b.original_max_position_embeddings;
}
inline bool operator==(const ProportionalScaling& a, const ProportionalScaling& b) noexcept {
  return a.factor == b.factor && a.partial_rotary_factor == b.partial_rotary_factor;
}
inline bool operator==(const DeepseekYarnScaling& a, const DeepseekYarnScaling& b) noexcept {
  return a.factor == b.factor && a.original_max_position_embeddings == b.original_max_position_embeddings &&
         a.beta_fast == b.beta_fast && a.beta_slow == b.beta_slow && a.mscale == b.mscale &&
         a.mscale_all_dim == b.mscale_all_dim && a.extrapolation_factor == b.extrapolation_factor &&
         a.attn_factor == b.attn_factor;
}
inline bool operator==(const InvFreqScaling& a, const InvFreqScaling& b) noexcept {
  return a.inv_freq == b.inv_freq && a.attention_factor == b.attention_factor;
}

}  // namespace v0
}  // namespace ropejit
