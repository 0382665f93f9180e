// The model types of transformers 5.24 whose modeling code names no rotation at all, and that are not whole models with
// a language model of another type: they are not merely unknown.
#include <string>

#include "hf/known_types.hpp"

namespace ropejit::internal {
namespace {

// A space behind each.
constexpr std::string_view kTypes =
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
    "zamba ";

}  // namespace

bool has_no_rope(std::string_view model_type) {
  const std::string word = " " + std::string(model_type) + " ";
  const bool one_word = !model_type.empty() && model_type.find(' ') == std::string_view::npos;
  return one_word && (" " + std::string(kTypes)).find(word) != std::string::npos;
}

}  // namespace ropejit::internal
