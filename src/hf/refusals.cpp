// The families whose rotation this version does not build, and why.
#include "hf/refusals.hpp"

#include "hf/known_types.hpp"

namespace ropejit::internal {
namespace {

struct Refusal {
  std::string_view model_type;  // with a final '*': every type that begins so
  const char* why;
};

constexpr const char* kAxes = "whose tokens have positions on several axes in a way of its own";
constexpr const char* kEncoder = "an encoder whose rotation is its own";
constexpr const char* kFractions =
    "whose patches have fractional coordinates: rotate by angles of your own (AngleSource::radians)";
constexpr const char* kHeadsOfKinds = "whose kinds of layers have head counts or head dims of their own";
constexpr const char* kNoRope = "which has no rotary embedding";
constexpr const char* kNotInCore = "whose config is not of Hugging Face's own classes";
constexpr const char* kOwnRules = "whose layers rotate or not by rules of their own";

constexpr Refusal kRefused[] = {
    {"baichuan", "of whose sizes some have ALiBi, with the same keys"},
    {"bailing_hybrid", kOwnRules},
    {"chatglm", kNotInCore},
    {"clvp*", "which rotates the values, too"},
    {"cohere_compass*", kAxes},
    {"dbrx", "whose heads and theta have names of their own (n_heads, attn_config)"},
    {"deepseek_ocr2_encoder", kEncoder},
    {"diffusion_gemma*", kHeadsOfKinds},
    {"dinov3*", kFractions},
    {"dots3_note*", kHeadsOfKinds},
    {"edgetam*", kEncoder},
    {"efficientloftr", kEncoder},
    {"embedding_gemma2*", kHeadsOfKinds},
    {"eomt_dinov3", kFractions},
    {"ernie4_5_moe_vl", kNotInCore},
    {"esmfold2*", kEncoder},
    {"hy_v4_vl*", kAxes},
    {"inkling*", kOwnRules},
    {"kimi_linear", kOwnRules},
    {"laguna", kHeadsOfKinds},
    {"lasr*", kEncoder},
    {"lightglue", kEncoder},
    {"llama4_vision_model", kEncoder},
    {"mimo_v2*", kHeadsOfKinds},
    {"minimax_m1", kOwnRules},
    {"mistral_large4*", kOwnRules},
    {"muse_*", kOwnRules},
    {"musicflamingo*", kEncoder},
    {"nemotron-nas", "whose layers have key heads of their own, or none (block_configs)"},
    {"nemotron3*", kEncoder},
    {"neomme*", kAxes},
    {"neucodec", kEncoder},
    {"openpangu*", kAxes},
    {"pe_audio*", kEncoder},
    {"pe_video*", kEncoder},
    {"phi3small", "whose theta and blocks have keys of their own (rope_embedding_base)"},
    {"phi4flash", kNotInCore},
    {"plamo3", "whose layers rotate by two thetas under keys of its own"},
    {"pocket_tts*", kEncoder},
    {"qwen2_5_omni_dit", kEncoder},
    {"qwen4_exp*", kAxes},
    {"roformer", kEncoder},
    {"sam2*", kEncoder},
    {"sam3*", kEncoder},
    {"sapiens2", kFractions},
    {"seamless_m4t*", kEncoder},
    {"step3_text", "whose key heads have a key of their own (num_attention_groups)"},
    {"step3_vl", "whose key heads have a key of their own (num_attention_groups)"},
    {"step3p*", kHeadsOfKinds},
    {"vjepa2*", kEncoder},
    {"voxtral_realtime_encoder", kEncoder},
    {"wav2vec2*", kEncoder},
    {"xcodec2", kEncoder},
};

}  // namespace

const char* hf_refusal(std::string_view model_type) {
  for (const Refusal& row : kRefused) {
    std::string_view pattern = row.model_type;
    const bool prefix = pattern.back() == '*';
    if (prefix) pattern.remove_suffix(1);
    if (prefix ? model_type.substr(0, pattern.size()) == pattern : model_type == pattern) return row.why;
  }
  return has_no_rope(model_type) ? kNoRope : nullptr;
}

}  // namespace ropejit::internal
