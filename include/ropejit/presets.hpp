// Engine, rounded_as: where the kernels of other engines round, as sets of RopeSpec::round_after and rounding. A spec
// that is rounded as an engine's kernels gives their numbers; one that is not comes closer to real arithmetic.
//
//     RopeSpec spec = ropejit::rounded_as(*model.find(layer), ropejit::Engine::vllm);
#pragma once

#include "ropejit/export.hpp"
#include "ropejit/spec.hpp"

namespace ropejit {
inline namespace v0 {

/// Whose kernels. Those of every engine here norm and rotate in fp32 and round to the tensors' dtype where they store;
/// what differs is what they keep in registers. They turn a pair as Rounding::exact does, by a product and a fused
/// multiply-add: FlashInfer's source says so, the others' leave it to compilers, of which nvcc 13 makes it for sm_80,
/// sm_90 and sm_120, and LLVM for gfx942 and gfx950. What the code that a model was trained through rounds is another
/// matter (ModelOptions::parity).
enum class Engine {
  exact,  ///< ropejit's own: nothing is rounded before the store
  /// vLLM's fused norm and rotation (fused_qk_norm_rope). Nothing is rounded between the two. It multiplies x by the
  /// product of r and w, ropejit x r by w: single elements may differ by an ulp.
  vllm_fused,
  /// vLLM's kernels one after the other (rms_norm, rotary_embedding): what the norm has multiplied by w, in fp32, is
  /// rounded. Older versions multiply by w in the dtype (RoundAfter::norm as well), and turn in it (Rounding::p1).
  vllm,
  /// FlashInfer's fused norm and rotation of diffusion transformers (fused_qk_rmsnorm_rope) where it writes bf16: it
  /// rounds after the norm. Where it writes fp8 it does not.
  flashinfer,
  /// TensorRT-LLM's fused norm and rotation (fusedQKNormRope): as vllm_fused. With YaRN it multiplies by the attention
  /// factor behind the rotation, ropejit cos and sin.
  tensorrt_llm,
  /// aiter's fused norm, rotation and append (fused_qk_norm_rope_cache_quant): after the norm's weight it rounds.
  aiter,
};

/// The spec with the roundings of an engine: `rounding` and all of `round_after` are set, the rest stays. Of a norm
/// with weights RoundAfter::weight is set, of one with biases norm_bias, of one without either norm; where q's and k's
/// differ, by q's. Whatever else these kernels are given was stored before them, or is done by one that reads what they
/// stored: the points `bias`, `scale` and `rotation` are set where a spec has a stage for them, but for Engine::exact.
/// Of a fused norm and rotation with stages behind, lanes that do not rotate are stored as well, and are not rounded
/// here: `rotation` is of those that do.
///
/// Cos and sin are not rounded: what precision an engine's table has is the table's, which launches can be given
/// (LaunchForm::with_table). vLLM's and aiter's is of the model's dtype. Where cos and sin are computed instead,
/// Rounding::p2 rounds them likewise; it does not fuse the products, which is seldom seen. `angle` stays, too: the
/// engines' are fp32 products, as AngleRounding::fp32 has them. Throws Error{invalid_argument} for a number that is no
/// Engine.
ROPEJIT_EXPORT RopeSpec rounded_as(const RopeSpec& spec, Engine engine);

ROPEJIT_EXPORT const char* to_string(Engine engine) noexcept;

}  // namespace v0
}  // namespace ropejit
