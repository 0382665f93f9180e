// The model types of whole models, of which a language model is a part, and the type that transformers 5.24 gives that
// part where the part's own config has none.
#include <algorithm>
#include <iterator>

#include "hf/known_types.hpp"

namespace ropejit::internal {
namespace {

struct WholeModel {
  std::string_view model_type;
  std::string_view language_type;
};

constexpr WholeModel kWholeModels[] = {
    {"apertus1p5", "apertus1p5_text"},
    {"aria", "aria_text"},
    {"audioflamingo3", "qwen2"},
    {"aya_vision", "cohere2"},
    {"blt", "blt_local_decoder"},
    {"cohere2_vision", "cohere2"},
    {"colpali", "gemma"},
    {"colqwen2", "qwen2_vl_text"},
    {"cosmos3_edge", "cosmos3_edge_text"},
    {"cosmos3_omni", "qwen3_vl_text"},
    {"deepseek_ocr2", "deepseek_ocr2_text"},
    {"deepseek_vl", "llama"},
    {"deepseek_vl_hybrid", "llama"},
    {"dia", "dia_decoder"},
    {"emu3", "emu3_text_model"},
    {"ernie4_5_vl_moe", "ernie4_5_vl_moe_text"},
    {"exaone4_5", "exaone4"},
    {"fast_vlm", "qwen2"},
    {"fun_asr_nano", "qwen3"},
    {"fuyu", "persimmon"},
    {"gemma3", "gemma3_text"},
    {"gemma3n", "gemma3n_text"},
    {"gemma4", "gemma4_text"},
    {"gemma4_unified", "gemma4_unified_text"},
    {"glm46v", "glm4v_text"},
    {"glm4v", "glm4v_text"},
    {"glm4v_moe", "glm4v_moe_text"},
    {"glm_image", "glm_image_text"},
    {"glm_ocr", "glm_ocr_text"},
    {"glmasr", "llama"},
    {"glmga", "glm4v_text"},
    {"got_ocr2", "qwen2"},
    {"granite4_vision", "granite4_vision_text"},
    {"granite_docling", "granite_docling_text"},
    {"granite_speech", "granite"},
    {"granite_speech_plus", "granite"},
    {"hunyuan_vl", "hunyuan_vl_text"},
    {"hyperclovax_vision_v2", "hyperclovax"},
    {"idefics2", "mistral"},
    {"idefics3", "llama"},
    {"internvl", "qwen2"},
    {"janus", "llama"},
    {"kimi_k25", "deepseek_v3"},
    {"lfm2_vl", "lfm2"},
    {"lfm3_vl", "lfm3"},
    {"lighton_ocr", "qwen3"},
    {"llama4", "llama4_text"},
    {"llava", "llama"},
    {"llava_next", "llama"},
    {"llava_next_video", "llama"},
    {"llava_onevision", "qwen2"},
    {"minicpm_ocr", "qwen3_5_text"},
    {"minicpmv4_6", "qwen3_5_text"},
    {"minicpmv4_7", "qwen3_5_text"},
    {"minimax_m3_vl", "minimax_m3_vl_text"},
    {"mistral3", "mistral"},
    {"mllama", "mllama_text_model"},
    {"modernvbert", "modernbert"},
    {"molmo2", "molmo2_text"},
    {"moss_transcribe_diarize", "qwen3"},
    {"omniasr", "llama"},
    {"ovis2", "qwen2"},
    {"paddleocr_vl", "paddleocr_vl_text"},
    {"paligemma", "gemma"},
    {"perception_lm", "llama"},
    {"pp_chart2table", "qwen2"},
    {"qianfan_ocr", "qwen3"},
    {"qwen2_5_omni", "qwen2_5_omni_text"},
    {"qwen2_5_omni_thinker", "qwen2_5_omni_text"},
    {"qwen2_5_vl", "qwen2_5_vl_text"},
    {"qwen2_audio", "qwen2"},
    {"qwen2_vl", "qwen2_vl_text"},
    {"qwen3_5", "qwen3_5_text"},
    {"qwen3_5_moe", "qwen3_5_moe_text"},
    {"qwen3_asr", "qwen3"},
    {"qwen3_omni_moe", "qwen3_omni_moe_text"},
    {"qwen3_omni_moe_talker", "qwen3_omni_moe_talker_text"},
    {"qwen3_omni_moe_thinker", "qwen3_omni_moe_text"},
    {"qwen3_vl", "qwen3_vl_text"},
    {"qwen3_vl_moe", "qwen3_vl_moe_text"},
    {"shieldgemma2", "gemma3_text"},
    {"smolvlm", "llama"},
    {"ultravbert", "ultrabert"},
    {"unlimited_ocr", "unlimited_ocr_text"},
    {"vibevoice", "qwen2"},
    {"vibevoice_asr", "qwen2"},
    {"video_llama_3", "qwen2"},
    {"video_llava", "llama"},
    {"vipllava", "llama"},
    {"voxtral", "llama"},
    {"voxtral_realtime", "voxtral_realtime_text"},
};

}  // namespace

std::string_view hf_language_type_of(std::string_view model_type) {
  const auto row = std::find_if(std::begin(kWholeModels), std::end(kWholeModels),
                                [&](const WholeModel& model) { return model.model_type == model_type; });
  return row == std::end(kWholeModels) ? std::string_view() : row->language_type;
}

}  // namespace ropejit::internal
