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
  p2,     ///< cos and sin rounded to dtype; products and sum to fp32; then the output: Cohere, ModernBERT
  p3,     ///< cos, sin, products and sum rounded to fp32; then the output: OLMo, ERNIE, Llama 4, Meta's reference
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
  computed,  ///< from the lanes, within each launch
  given,     ///< r from memory: RopeArgs::q_norm_statistic, k_norm_statistic, v_norm_statistic
  /// The sum of squares from memory, in the same place: a launch works r out of it. What ranks of tensor parallelism
  /// have added up (Norm::global_heads).
  given_sum,
};

/// What a norm divides by; see Norm.
enum class NormKind {
  rms,    ///< the root of the mean square (Zhang and Sennrich 2019)
  layer,  ///< the standard deviation, once the mean is subtracted (Ba, Kiros and Hinton 2016)
  l2,     ///< the root of the sum of squares
};

/// Over what a norm takes its statistic.
enum class NormSpan {
  head,   ///< the lanes of one head
  token,  ///< the lanes of all of an operand's heads (OLMo 2, MiniMax-M2, WAN): one statistic for a token
};

/// How many weights, and biases, a norm has.
enum class NormWeight {
  lanes,  ///< head_dim of them, the same for all heads
  heads,  ///< [heads, head_dim]: each head has its own
  none,   ///< no weights, and no biases
};

/// The norm of an operand's lanes. With the lanes x[l] of a head, or for NormSpan::token of all heads:
///     rms:    r = 1 / sqrt(mean of x[l]^2 + eps)                  x[l] becomes (x[l] r) w[l] + b[l]
///     layer:  m = mean of x[l], r = 1 / sqrt(mean of (x[l] - m)^2 + eps)
///                                                                 x[l] becomes ((x[l] - m) r) w[l] + b[l]
///     l2:     r = 1 / max(sqrt(sum of x[l]^2), eps)               x[l] becomes (x[l] r) w[l] + b[l]
/// w[l] is what launches bring, 1 + that with plus_one (in fp32, as Gemma has it), or 1 without weights; b[l] is 0
/// without biases. Everything is fp32, whatever the tensors are. All lanes of the head are written, those that do not
/// rotate too, in place as well. Sums are trees that depend on the numbers of normed lanes and of heads alone, and the
/// reciprocal root is made of fp32 operations that are the same everywhere, so r has the same bits in every variant, on
/// every GPU and on the host (docs/prologue.md). Launches bring w, and b, in RopeArgs::q_norm_weight, q_norm_bias and
/// so on. With a given statistic they bring that as well, any numbers of fp32, and no sum is made; for r given, eps is
/// not used.
struct Norm {
  /// Added to the mean, or of l2 the least root: 1e-20 to 1 (l2: from 1e-18), used as fp32. It is no part of the code:
  /// models share binaries.
  double eps = 1e-6;
  std::optional<DType> weight_dtype = std::nullopt;  ///< element type of w and b; absent: the spec's dtype
  Statistic statistic = Statistic::computed;         ///< given, given_sum: of rms alone
  NormKind kind = NormKind::rms;                     ///< what is divided by
  NormSpan span = NormSpan::head;                    ///< whose lanes the statistic is of
  NormWeight weight = NormWeight::lanes;             ///< how many weights there are
  bool plus_one = false;                             ///< 1 + w is what lanes are multiplied by: not without weights
  bool bias = false;                                 ///< b is added: as many as weights, not without weights
  /// The lanes of each head that are normed and that the statistic is of, the others stay as they are: first_lane and
  /// `lanes` are even; lanes 0 stands for all from first_lane on. Whole rotating halves and words must be in or out.
  std::int64_t first_lane = 0;
  std::int64_t lanes = 0;  ///< how many; 0: all from first_lane on
  /// With NormSpan::token and Statistic::given_sum: the heads of all ranks that share the token, whose mean it is; 0:
  /// the operand's own.
  std::int64_t global_heads = 0;
};

/// A factor of a token that grows with its position p, slowly, past a length N (Llama 4, Ministral 3; logN):
///     tau = 1 + coefficient ln(max(1, g))
///     steps:   g = 1 + floor((p + offset) / N)
///     smooth:  g = (p + offset) / N
/// With logN's tau = max(1, ln p / ln N) the coefficient is 1 / ln N. p is the token's position on axis 0, as it is for
/// the rotation. Exact integers as far as positions are, then fp32, within 2e-6 of tau.
struct Temperature {
  double coefficient = 0.1;  ///< finite
  std::int64_t length = 1;   ///< N: 1 to 2^40
  bool steps = true;         ///< whether it grows in steps
  std::int64_t offset = 0;   ///< 0 or 1
};

/// What is done to an operand's lanes between load and store.
enum class StageName {
  bias,         ///< Operand::bias
  norm,         ///< Operand::norm
  clamp,        ///< Operand::clamp
  scale,        ///< Operand::scale
  head_scale,   ///< Operand::head_scales
  rotate,       ///< the rotation, of operands that rotate
  temperature,  ///< Operand::temperature
};

/// The places at which a value on its way is rounded to the spec's dtype, to nearest even, and widened again. None is
/// exact: one rounding, at the store. Models and engines round at some, and give their code's own bits only so. For
/// fp32 tensors they change nothing. What is rounded within the rotation is RopeSpec::rounding's to say.
struct RoundAfter {
  bool norm = false;       ///< x r, or (x - m) r, before it is multiplied by w (Hugging Face's Qwen3: both)
  bool weight = false;     ///< (x r) w, before b is added (norms that multiply by w in fp32, as vLLM's: this alone)
  bool bias = false;       ///< x plus the bias of Operand::bias
  bool statistic = false;  ///< r itself
  bool norm_bias = false;  ///< the norm's result with its b
  bool scale = false;      ///< what a constant or a head's scale makes of x
  bool rotation = false;   ///< what was turned, where stages follow
  bool tau = false;        ///< the temperature's factor itself
};

/// One of the tensors of a launch, as [tokens, heads, head_dim]. q and k rotate together.
struct Operand {
  std::int64_t heads = 0;     ///< 1 to 65,536
  std::int64_t head_dim = 0;  ///< lanes of a head: even, 2 to 4,096
  std::int64_t first_lane =
      0;  ///< the first lane that rotates: even, first_lane + rotary_dim <= head_dim; of v, gate 0
  /// The element type that is written; absent: the spec's dtype. Only what is written out of place may have another (k
  /// also with k_rows, v and gate always). Lanes that do not rotate are converted too.
  std::optional<DType> dtype_out = std::nullopt;
  /// Whether its lanes are turned; absent: those of q and k are, no others. Only q and k may say otherwise,
  /// for layers that do not rotate: k alone, or both. What does not rotate goes through its other stages, and is copied
  /// out of place or to rows of a cache. In place, q without any stage is left alone, and k must have one.
  std::optional<bool> rotates = std::nullopt;
  /// The norm; absent: none. Stages other than the rotation have Direction::forward, or adjoint, which turns back and
  /// does all else as forward does (nanochat's forward pass; no gradient of a stage), and a head_dim up to 1,024; a
  /// norm over the token has up to 16,384 lanes, of up to 256 heads.
  std::optional<Norm> norm = std::nullopt;
  bool bias = false;  ///< x + a bias of [heads, head_dim] of the spec's dtype: RopeArgs::q_bias
  std::optional<double> clamp = std::nullopt;  ///< x is held within -clamp and clamp: above 0, as fp32; a NaN stays
  std::optional<double> scale = std::nullopt;  ///< x times a constant: finite, as fp32
  bool head_scales = false;                    ///< x times its head's of [heads] fp32: RopeArgs::q_head_scales
  std::optional<Temperature> temperature = std::nullopt;  ///< x times a factor of the position
  /// The order in which lanes go through the stages that the operand has, each once. Empty: that of StageName, so that
  /// the norm comes before the rotation. HunYuan and Llama 4 norm what has rotated: {rotate, norm}.
  std::vector<StageName> order = {};
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
  /// The gate of the attention's output, where q's projection gives each head [q | gate] (Qwen3-Next, Qwen3.5): each
  /// launch copies it to gate_out, so that what comes behind finds it in one piece. q is then a tensor of every second
  /// row of head_dim lanes, as gate is (Strides::free). It has heads, a head_dim and a dtype_out of its own, and no
  /// stages. Absent: launches have no gate.
  std::optional<Operand> gate;
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
ROPEJIT_EXPORT bool operator==(const Temperature& a, const Temperature& b) noexcept;
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
ROPEJIT_EXPORT const char* to_string(NormKind kind) noexcept;
ROPEJIT_EXPORT const char* to_string(NormSpan span) noexcept;
ROPEJIT_EXPORT const char* to_string(NormWeight weight) noexcept;
ROPEJIT_EXPORT const char* to_string(StageName stage) noexcept;
/// Bytes of one element: 2, 2, 4.
ROPEJIT_EXPORT std::int64_t size_of(DType dtype) noexcept;

}  // namespace v0
}  // namespace ropejit
