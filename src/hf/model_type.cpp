// Which family a config.json is read as, and why the model types that are not read are not.
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include "hf/family.hpp"
#include "ropejit/error.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr const char* kWaysOn =
    "a model type that this version builds; otherwise a spec in JSON, or to read it as a known type (--as llama, "
    "ModelOptions::as)";

// The families whose rotation this version does not build, and why.
struct Refusal {
  llvm::StringLiteral model_type;  // with a final '*': every type that begins so
  const char* why;
};

constexpr const char* kAxes = "whose tokens have positions on several axes in a way of its own";
constexpr const char* kEncoder = "an encoder whose rotation is its own";
constexpr const char* kFractions =
    "whose patches have fractional coordinates: rotate by angles of your own (AngleSource::radians)";
constexpr const char* kHeadsOfKinds = "whose kinds of layers have head counts or head dims of their own";
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
    {"lasr*", kEncoder},
    {"lightglue", kEncoder},
    {"llama4_vision_model", kEncoder},
    {"minimax_m1", kOwnRules},
    {"mistral_large4*", kOwnRules},
    {"muse_glimmer_assistant*", kOwnRules},
    {"muse_glimmer_vision", kEncoder},
    {"muse_spark_vision", kEncoder},
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
    {"step3p5_vision", kEncoder},
    {"vjepa2*", kEncoder},
    {"voxtral_realtime_encoder", kEncoder},
    {"wav2vec2*", kEncoder},
    {"xcodec2", kEncoder},
};

// The model types of transformers 5.24 whose modeling code names no rotation at all, and that are not whole models with
// a language model of another type: they are not merely unknown.
constexpr llvm::StringLiteral kWithoutRope =
    "aimv2 aimv2_text_model aimv2_vision_model albert align align_text_model align_vision_model altclip "
    "altclip_text_model altclip_vision_model audio-spectrogram-transformer autoformer bart beit bert "
    "bert-generation big_bird bigbird_pegasus biogpt blenderbot blenderbot-small blip blip_text_model "
    "blip_vision_model bloom bridgetower bridgetower_text_model bridgetower_vision_model bros camembert "
    "canary canary_decoder canine chinese_clip chinese_clip_text_model chinese_clip_vision_model clap "
    "clap_audio_model clap_text_model clip clip_text_model clip_vision_model clipseg clipseg_text_model "
    "clipseg_vision_model convbert convnext convnextv2 cpmant ctrl cvt dac data2vec-audio data2vec-text "
    "data2vec-vision deberta deberta-v2 decision_transformer deit detr dinov2 dinov2_with_registers "
    "distilbert donut-swin dpr efficientnet electra encodec eomt ernie falcon_mamba fastspeech2_conformer "
    "fastspeech2_conformer_hifigan fastspeech2_conformer_with_hifigan flaubert flava flava_image_codebook "
    "flava_image_model flava_multimodal_model flava_text_model fnet fsmt funnel git git_vision_model glpn "
    "gpt2 gpt_bigcode gpt_neo groupvit groupvit_text_model groupvit_vision_model hgnet_v2 "
    "higgs_audio_v2_tokenizer hubert ibert ijepa imagegpt informer jamba kosmos-2 kosmos-2.5 "
    "kosmos_2_5_text_model kosmos_2_5_vision_model kosmos_2_text_model kosmos_2_vision_model layoutlm "
    "layoutlmv2 layoutlmv3 led levit lilt longformer longt5 luke lw_detr lw_detr_vit lxmert m2m_100 mamba "
    "mamba2 marian markuplm mbart megatron-bert metaclip_2 metaclip_2_text_model metaclip_2_vision_model "
    "mgp-str mobilebert mobilenet_v1 mobilenet_v2 mobilevit mobilevitv2 mpnet mpt mra mt5 musicgen "
    "musicgen_decoder musicgen_melody musicgen_melody_decoder mvp nemotron_h nllb-moe nystromformer "
    "openai-gpt opt owlv2 owlv2_text_model owlv2_vision_model owlvit owlvit_text_model owlvit_vision_model "
    "patchtsmixer patchtst pegasus pegasus_x perceiver pix2struct pix2struct_text_model "
    "pix2struct_vision_model plbart poolformer pop2piano pp_formulanet pp_formulanet_text "
    "pp_formulanet_vision pp_lcnet pp_lcnet_v3 pp_lcnet_v4 prophetnet pvt radio reformer regnet rembert "
    "resnet roberta roberta-prelayernorm roc_bert rwkv sam sam_hq sam_hq_mask_decoder sam_hq_prompt_encoder "
    "sam_hq_vision_model sam_mask_decoder sam_prompt_encoder sam_vision_model segformer seggpt sew sew-d "
    "siglip siglip2 siglip2_text_model siglip2_vision_model siglip_text_model siglip_vision_model slanext "
    "slanext_vision speech_to_text speecht5 speecht5_hifigan splinter squeezebert superpoint swiftformer swin "
    "swin2sr swinv2 switch_transformers t5 tapas time_series_transformer timesfm timesformer timm_backbone "
    "timm_wrapper trocr udop umt5 unispeech unispeech-sat univnet uvdoc uvdoc_backbone "
    "vibevoice_acoustic_tokenizer vibevoice_acoustic_tokenizer_decoder vibevoice_acoustic_tokenizer_encoder "
    "videomae videomt videoprism videoprism_text_model videoprism_vision_model vilt visual_bert vit vit_mae "
    "vit_msn vitdet vitpose_backbone vits vivit wavlm wavtokenizer wavtokenizer_encoder whisper xclip "
    "xclip_text_model xclip_vision_model xglm xlm xlm-roberta xlm-roberta-xl xlnet xlstm xmod yolos yoso "
    "zamba";

std::string type_of(const ObjectReader& config) { return config.find_string("model_type", kWaysOn).value_or(""); }

// "which has no rotary embedding"; null for a type that is read.
const char* why_not(llvm::StringRef type) {
  if (const char* refusal = hf_refusal(type)) return refusal;
  return hf_language_type(type).empty() ? "which is not known" : nullptr;
}

// Files of diffusers tell a class in place of a type.
Error no_type(const ObjectReader& config) {
  const llvm::json::Value* name = config.find("_class_name");
  if (name == nullptr) return missing_field(config.path("model_type"), kWaysOn);
  return field_error(ErrorCode::unsupported, config.path("_class_name"),
                     fmt::format("{}, a file of diffusers, without a model_type", describe(*name)), kWaysOn);
}

// What the configs say they are: the innermost type.
std::string own_type(llvm::ArrayRef<ObjectReader> configs) {
  std::string language;
  for (const ObjectReader& config : configs) {
    const std::string type = type_of(config);
    if (type.empty()) continue;
    if (const char* why = why_not(type)) {
      throw field_error(ErrorCode::unsupported, config.path("model_type"), fmt::format("{}, {}", quoted(type), why),
                        kWaysOn);
    }
    language = hf_language_type(type).str();
  }
  if (language.empty()) throw no_type(configs.front());
  return language;
}

std::string type_as(llvm::ArrayRef<ObjectReader> configs, const std::string& as, std::vector<std::string>& warnings) {
  if (const char* why = why_not(as)) {
    throw field_error(ErrorCode::invalid_argument, "as", fmt::format("{}, {}", quoted(as), why),
                      "a model type that this version builds, such as llama");
  }
  const std::string name = hf_language_type(as).str();
  std::string found = "no model type";
  bool same = false;
  for (const ObjectReader& config : configs) {
    const std::string type = type_of(config);
    if (type.empty()) continue;
    const char* why = why_not(type);
    found = why == nullptr ? quoted(type) : fmt::format("{}, {}", quoted(type), why);
    same = why == nullptr && hf_language_type(type) == name;
    if (why != nullptr) break;
  }
  if (!same) {
    warnings.push_back(fmt::format(
        "model_type: found {}, read as {} as asked for: its own code may rotate in another way", found, quoted(name)));
  }
  return name;
}

}  // namespace

std::string read_hf_type(llvm::ArrayRef<ObjectReader> configs, const std::optional<std::string>& as,
                         std::vector<std::string>& warnings) {
  return as ? type_as(configs, *as, warnings) : own_type(configs);
}

const char* hf_refusal(llvm::StringRef model_type) {
  const auto* row = llvm::find_if(kRefused, [&](const Refusal& refusal) {
    llvm::StringRef pattern = refusal.model_type;
    return pattern.consume_back("*") ? model_type.starts_with(pattern) : model_type == pattern;
  });
  if (row != std::end(kRefused)) return row->why;
  return has_no_rope(model_type) ? "which has no rotary embedding" : nullptr;
}

bool has_no_rope(llvm::StringRef model_type) { return has_word(kWithoutRope, model_type); }

}  // namespace ropejit::internal
