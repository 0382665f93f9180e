// RopeSpec: what a person says about a model's rotary embedding. A plain value: fill it in, or read it from a
// model's config, change any field, hand it to RopeService::get, which validates it once.
//
// What it means: for every token at position p, every head and every pair i = 0 .. rotary_dim/2 - 1,
//     t = p * w_i                        (w_i: theta and scaling; see scaling.hpp)
//     out[a_i] = A (x[a_i] cos t - x[b_i] sin t)     (A: the scaling rule's, 1 for most)
//     out[b_i] = A (x[b_i] cos t + x[a_i] sin t)
// where (a_i, b_i) are lanes of the head: first_lane + (i, i + rotary_dim/2) for split_half and
// first_lane + (2i, 2i + 1) for interleaved. Lanes that do not rotate keep their values. Tokens with several positions
// (images, video) turn each pair by one of them: see Axes.
// Angles are exact unless `angle` says otherwise: any position a 64-bit integer holds up to about 2^40, negative ones
// too. With a caller's cos and sin (LaunchForm::angles) theta, scaling and `angle` are not used.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ropejit/axes.hpp"
#include "ropejit/export.hpp"
#include "ropejit/scaling.hpp"

namespace ropejit {
inline namespace v0 {

/// Element type of q and k, in memory.
enum class DType { bf16, fp16, fp32 };

/// Which lanes form a pair.
enum class Layout {
  split_half,   ///< i with i + rotary_dim/2: Hugging Face's rotate_half, GPT-NeoX
  interleaved,  ///< 2i with 2i + 1: the paper's form, Meta's complex form, GPT-J
  /// Each axis has lanes of its own, rotary_dim over the number of axes, and within them i goes with i + half of those:
  /// Gemma 4's vision tower. Axes of equal sections in AxisOrder::chunked alone.
  split_sections,
};

/// Which way pairs turn.
enum class Direction {
  forward,  ///< the formula above
  adjoint,  ///< the gradient: rotates by -t, keeps A
  inverse,  ///< undoes forward: rotates by -t and divides by A
  shift,    ///< moves what is rotated already: positions are signed differences, A is left out
};

/// Where values are rounded between the angle and the result. `exact` comes closest to real arithmetic; the others are
/// what models were trained through, and give their code's own bits where cos and sin are the same. For fp32 tensors
/// p1, p2 and p3 are one. "cos" below includes A.
enum class Rounding {
  exact,  ///< cos and sin fp32, one fused multiply-add, one rounding to the output's dtype
  p1,     ///< cos, sin, both products and their sum, each rounded to dtype: most Hugging Face models
  p2,  ///< cos and sin rounded to dtype; products and sum to fp32; then the output: Cohere, ModernBERT, vLLM's kernel
  p3,  ///< cos, sin, products and sum rounded to fp32; then the output: OLMo, ERNIE, Llama 4, Meta's reference
};

/// Where the angle is rounded before cos and sin are taken of it. Models compute in fp32 and lose the angle at long
/// positions: 0.06 at a million (docs/precision.md).
enum class AngleRounding {
  exact,          ///< p * w_i modulo one turn, exactly
  fp32_inv_freq,  ///< w_i rounded to fp32, as Hugging Face keeps it; all else exact
  fp32,           ///< w_i and p rounded to fp32, and then their product: Hugging Face, vLLM, TransformerEngine
};

/// How cos and sin are computed.
enum class Sine {
  polynomial,  ///< within 1.5e-7, and the same bits on every GPU and on the host
  hardware,  ///< the GPU's own instructions, within 4.3e-7: enough for 16-bit tensors. The host target differs in bits.
};

/// Where the statistic of a norm comes from: r, the reciprocal root of the mean square.
enum class Statistic {
  computed,  ///< from the head's lanes, within each launch
  given,     ///< from memory: RopeArgs::q_norm_statistic, k_norm_statistic, v_norm_statistic
};

/// The RMS norm (Zhang and Sennrich 2019) of the lanes of each head, which an operand goes through before it rotates:
///     r = 1 / sqrt(mean over the head's lanes of x[l]^2 + eps)
///     x[l] becomes (x[l] r) w[l]
/// Everything is fp32, whatever the tensors are. All lanes of the head take part and are written, those that do not
/// rotate too, in place as well. The sum of squares is a tree that depends on head_dim alone, and the reciprocal root
/// is made of fp32 operations that are the same everywhere, so r has the same bits in every variant, on every GPU and
/// on the host (docs/prologue.md). Launches bring w, head_dim elements: RopeArgs::q_norm_weight, k_norm_weight,
/// v_norm_weight. With Statistic::given they bring r as well, any number of fp32, and no sum is made: eps is not used.
struct Norm {
  double eps = 1e-6;  ///< added to the mean: 1e-20 to 1, used as fp32. It is no part of the code: models share binaries
  std::optional<DType> weight_dtype = std::nullopt;  ///< element type of w; absent: the spec's dtype
  Statistic statistic = Statistic::computed;         ///< whether r is computed, or brought by each launch
};

/// The places at which a value on its way is rounded to the spec's dtype, to nearest even, and widened again. None is
/// exact: one rounding, at the store. Models and engines round at some, and give their code's own bits only so. For
/// fp32 tensors they change nothing. What is rounded within the rotation is RopeSpec::rounding's to say.
struct RoundAfter {
  bool norm = false;    ///< x r, before it is multiplied by w (Hugging Face's Qwen3: both)
  bool weight = false;  ///< (x r) w, before it rotates (norms that multiply by w in fp32, as vLLM's: this alone)
};

/// One of the tensors of a launch, as [tokens, heads, head_dim]. q and k rotate together.
struct Operand {
  std::int64_t heads = 0;       ///< 1 to 65,536
  std::int64_t head_dim = 0;    ///< lanes of a head: even, 2 to 4,096
  std::int64_t first_lane = 0;  ///< the first lane that rotates: even, first_lane + rotary_dim <= head_dim; of v 0
  /// The element type that is written; absent: the spec's dtype. Only what is written out of place may have another (k
  /// also with k_rows, v always). Lanes that do not rotate are converted too.
  std::optional<DType> dtype_out = std::nullopt;
  /// Whether its lanes are turned; absent: those of q and k are, those of v are not. Only k may say otherwise: with
  /// false it is copied as v is, out of place or to k_rows, for layers whose keys do not rotate.
  std::optional<bool> rotates = std::nullopt;
  /// The norm that comes before the rotation; absent: none. Only with Direction::forward, of a head_dim up to 1,024.
  std::optional<Norm> norm = std::nullopt;
};

/// What it means stands at the top of this file, spec.hpp.
struct ROPEJIT_EXPORT RopeSpec {
  Layout layout = Layout::split_half;  ///< which lanes of q and k form pairs, as they are read
  /// The layout in which pairs are written; absent: that in which they were read. Layout::interleaved read and
  /// Layout::split_half written is DeepSeek-V3's de-interleaving rotation, in one pass.
  std::optional<Layout> layout_out;
  Direction direction = Direction::forward;  ///< which way pairs turn
  DType dtype = DType::bf16;                 ///< element type of q, k and v
  double theta = 10000.0;                    ///< base of the frequencies: finite, above 0
  std::int64_t rotary_dim = 0;  ///< lanes that rotate: even, 2 to head_dim. One value for q and k: pairs share angles.
  Operand q;                    ///< the queries
  std::optional<Operand> k;     ///< absent: one tensor rotates alone
  /// The values, which do not rotate: each launch copies them to v_out, so that one kernel fills a cache with k and v.
  /// Absent: launches have no v. Its first_lane is 0.
  std::optional<Operand> v;
  Scaling scaling = NoScaling{};  ///< the context-extension rule: see scaling.hpp
  Axes axes;                      ///< for tokens with several positions
  /// The length in tokens that rules which depend on one (dynamic, longrope) are resolved for, above 0: a longer one
  /// is another spec. Without it the kernel is resolved later: see RopeKernel::at_length.
  std::optional<std::int64_t> max_length;
  Rounding rounding = Rounding::exact;         ///< where cos, sin, products and sums are rounded
  AngleRounding angle = AngleRounding::exact;  ///< where the angle is rounded before them
  Sine sine = Sine::polynomial;                ///< how cos and sin are computed
  RoundAfter round_after;                      ///< where values are rounded around the norms

  /// Throws Error{invalid_argument} naming the first field that is out of range.
  void validate() const;

  /// Reads JSON with "schema": 1 and every field (the grammar: docs/spec-json.md), and validates it. Unknown keys,
  /// duplicate keys and anything out of range throw Error.
  static RopeSpec from_json(std::string_view text);
  std::string to_json() const;  ///< what from_json reads, every field

  /// Reads the text (not a path) of a Hugging Face config.json: head counts, head_dim, rope_theta,
  /// rope_scaling or rope_parameters, partial_rotary_factor, dtype; the layout by model_type, which must be one that
  /// is known. Throws Error where the model's RoPE is not one this version builds, rather than guess, and where its
  /// layers differ: see ModelRopes in model.hpp. `warnings` is set to what ModelRopes::warnings says; without it, a
  /// config that something is to be said of is refused with the first line.
  static RopeSpec from_hf_config(std::string_view text, std::vector<std::string>* warnings = nullptr);

  /// What such a model multiplies the usual 1/sqrt(head_dim) of its attention by: g(s, mscale_all_dim)^2 for
  /// deepseek_yarn, and for yarn with scale_softmax; 1 otherwise. No kernel applies it: that is for the caller.
  double softmax_scale() const;

  /// One line for people: "split_half bf16 q 32x128 k 8x128 rotary 128 theta 500000 llama3(...) forward".
  std::string to_string() const;
};

ROPEJIT_EXPORT bool operator==(const Norm& a, const Norm& b) noexcept;
ROPEJIT_EXPORT bool operator==(const RoundAfter& a, const RoundAfter& b) noexcept;
ROPEJIT_EXPORT bool operator==(const Operand& a, const Operand& b) noexcept;
ROPEJIT_EXPORT bool operator==(const RopeSpec& a, const RopeSpec& b) noexcept;
inline bool operator!=(const RopeSpec& a, const RopeSpec& b) noexcept { return !(a == b); }

ROPEJIT_EXPORT const char* to_string(DType dtype) noexcept;
ROPEJIT_EXPORT const char* to_string(Layout layout) noexcept;
ROPEJIT_EXPORT const char* to_string(Direction direction) noexcept;
ROPEJIT_EXPORT const char* to_string(Rounding rounding) noexcept;
ROPEJIT_EXPORT const char* to_string(AngleRounding rounding) noexcept;
ROPEJIT_EXPORT const char* to_string(Sine sine) noexcept;
ROPEJIT_EXPORT const char* to_string(Statistic statistic) noexcept;
/// Bytes of one element: 2, 2, 4.
ROPEJIT_EXPORT std::int64_t size_of(DType dtype) noexcept;

}  // namespace v0
}  // namespace ropejit
