// The families whose rotation this version does not build, and why.
#include "spec/hf_refusals.hpp"

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
    {"bailing_hybrid", kOwnRules},
    {"bert", kNoRope},
    {"bloom", kNoRope},
    {"chatglm", kNotInCore},
    {"clvp*", "which rotates the values, too"},
    {"cohere_compass*", kAxes},
    {"diffusion_gemma*", kHeadsOfKinds},
    {"dinov3*", kFractions},
    {"distilbert", kNoRope},
    {"dots3_note*", kHeadsOfKinds},
    {"edgetam*", kEncoder},
    {"efficientloftr", kEncoder},
    {"embedding_gemma2*", kHeadsOfKinds},
    {"eomt_dinov3", kFractions},
    {"ernie4_5_moe_vl", kNotInCore},
    {"esmfold2*", kEncoder},
    {"gpt2", kNoRope},
    {"gpt_bigcode", kNoRope},
    {"gpt_neo", kNoRope},
    {"inkling*", kOwnRules},
    {"jamba", kNoRope},
    {"kimi_linear", kOwnRules},
    {"laguna", kHeadsOfKinds},
    {"lightglue", kEncoder},
    {"mimo_v2*", kHeadsOfKinds},
    {"mistral_large4*", kOwnRules},
    {"mpt", kNoRope},
    {"muse_*", kOwnRules},
    {"musicflamingo*", kEncoder},
    {"nemotron3*", kEncoder},
    {"nemotron_h", kNoRope},
    {"neomme*", kAxes},
    {"neucodec", kEncoder},
    {"openpangu*", kAxes},
    {"opt", kNoRope},
    {"pe_audio*", kEncoder},
    {"pe_video*", kEncoder},
    {"qwen2_5_omni_dit", kEncoder},
    {"qwen4_exp*", kAxes},
    {"roberta", kNoRope},
    {"roformer", kEncoder},
    {"sam2*", kEncoder},
    {"sam3*", kEncoder},
    {"sapiens2", kFractions},
    {"seamless_m4t*", kEncoder},
    {"step3p*", kHeadsOfKinds},
    {"vjepa2*", kEncoder},
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
  return nullptr;
}

}  // namespace ropejit::internal
