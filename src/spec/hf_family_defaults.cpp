// Where the classes of transformers have defaults of their own.
#include "spec/hf_family_tables.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kNeedTheta[] = {
    "EvollaModel",
    "apertus",
    "bitnet",
    "blt",
    "blt_global_transformer",
    "blt_local_decoder",
    "blt_local_encoder",
    "cohere",
    "cosmos3_edge",
    "csm",
    "csm_depth_decoder_model",
    "emu3",
    "cwm",
    "ernie4_5",
    "ernie4_5_moe",
    "ernie4_5_vl_moe",
    "evolla",
    "flex_olmo",
    "fuyu",
    "gemma4",
    "gemma4_unified",
    "gpt_oss",
    "gte",
    "helium",
    "higgs_audio_v2",
    "hy_v3",
    "jina_embeddings_v3",
    "lfm2",
    "lfm2_moe",
    "lfm3",
    "llama4",
    "longcat_flash",
    "mellum",
    "minimax",
    "minimax_m2",
    "minimax_m3_vl",
    "ministral3",
    "mistral3",
    "mixtral",
    "mllama",
    "nomic_bert",
    "openai_privacy_filter",
    "paddleocr_vl",
    "persimmon",
    "phimoe",
    "qwen2_5_omni",
    "qwen2_5_omni_talker",
    "qwen2_5_vl",
    "qwen2_vl",
    "qwen3_omni_moe",
    "qwen3_vl",
    "qwen3_vl_moe",
    "smollm3",
    "solar_open",
    "ultrabert",
    "zaya",
};

constexpr std::string_view kNeedFraction[] = {
    "bamba",      "codegen",         "deepseek_v4",   "fuyu",           "glm",
    "glm4",       "glm4_moe",        "glm4v_moe",     "glmasr_encoder", "gpt_neox",
    "gptj",       "minimax_m2",      "minimax_m3_vl", "moonshine",      "moonshine_streaming",
    "nemotron",   "persimmon",       "phi",           "qwen3_5",        "qwen3_5_moe",
    "qwen3_next", "recurrent_gemma", "stablelm",      "zaya",
};

constexpr std::string_view kNeedHeadDim[] = {
    "afmoe",
    "beam",
    "canary_decoder",
    "cohere2_moe",
    "cosmos3_edge",
    "cwm",
    "deepseek_v4",
    "dia_decoder",
    "dia_encoder",
    "ernie4_5",
    "flint",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3n",
    "gemma4",
    "gemma4_unified",
    "glm",
    "glm4",
    "gpt_oss",
    "helium",
    "higgs_audio_v2",
    "hy_v3",
    "internlm3",
    "iquestcoder",
    "jetmoe",
    "kolibri1",
    "lfm3",
    "llama4",
    "mellum",
    "minimax_m2",
    "minimax_m3_vl",
    "ministral3",
    "molmo2",
    "openai_privacy_filter",
    "paddleocr_vl",
    "qwen2_5_omni_talker",
    "qwen3",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_next",
    "qwen3_omni_moe_talker_code_predictor",
    "qwen3_vl",
    "seed_oss",
    "solar_open",
    "t5_gemma_module",
    "t5gemma2",
    "t5gemma2_decoder",
    "timesfm2_5",
    "vaultgemma",

    "zamba2",
    "zaya",
};

// A config without a rope dictionary gets one that scales.
constexpr std::string_view kNeedRopeDict[] = {
    "apertus", "cwm", "gpt_oss", "higgs_audio_v2", "ministral3", "mistral4", "openai_privacy_filter",
};

}  // namespace

void set_hf_defaults(std::string_view model_type, HfFamily& family) {
  family.needs_theta = is_in(kNeedTheta, model_type);
  family.needs_rope_dict = is_in(kNeedRopeDict, model_type);
  family.needs_fraction = is_in(kNeedFraction, model_type);
  family.needs_head_dim = is_in(kNeedHeadDim, model_type);
}

}  // namespace ropejit::internal
