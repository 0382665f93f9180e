#include "hf/families.hpp"

#include "hf/family_tables.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kInterleaved[] = {
    "blt",
    "blt_global_transformer",
    "blt_local_decoder",
    "blt_local_encoder",
    "blt_patcher",
    "codegen",
    "cohere",
    "cohere2",
    "cohere2_moe",
    "deepseek_v2",
    "deepseek_v4",
    "ernie4_5",
    "ernie4_5_moe",
    "ernie4_5_vl_moe",
    "glm",
    "glm4",
    "glm4v",
    "glm_ocr",
    "gptj",
    "helium",
    "llama4",
    "moonshine",
    "moonshine_streaming",
};

// They read neighbouring lanes and write halves; those in the second table unless rope_interleave is false.
constexpr std::string_view kDeinterleaving[] = {
    "axk2",
    "deepseek_v32",
    "glm_moe_dsa",
    "longcat_flash",
};
constexpr std::string_view kDeinterleavingByFlag[] = {
    "axk1", "deepseek_v3", "glm4_moe_lite", "kimi_k2", "kimi_k25", "mistral4", "sarvam_mla", "youtu",
};

// Latent attention with another layout than those.
constexpr std::string_view kLatent[] = {
    "deepseek_v2",
    "hy_v4",
    "minicpm3",
};

// cos and sin in the model's dtype, the rest in fp32.
constexpr std::string_view kP2[] = {
    "EvollaModel", "cohere", "cohere2",    "cohere2_moe", "deepseek_v4",
    "esm",         "evolla", "hunyuan_vl", "modernbert",  "modernbert-decoder",
};

// All in fp32.
constexpr std::string_view kP3[] = {
    "beam", "deepseek_v2", "ernie4_5", "ernie4_5_moe", "ernie4_5_vl_moe", "flex_olmo",
    "lfm3", "llama4",      "olmo",     "olmo2",        "olmo3",           "olmo_hybrid",
};

// Those whose attention has it in transformers 5.24, whether or not this version builds the rotation.
constexpr std::string_view kScaleSoftmax[] = {
    "axk1",          "axk2",        "bailing_hybrid", "deepseek_v2", "deepseek_v3", "deepseek_v32",
    "glm4_moe_lite", "glm_moe_dsa", "hy_v4",          "kimi_k2",     "kimi_k25",    "longcat_flash",
    "minicpm3",      "mistral4",    "mistral_large4", "sarvam_mla",  "youtu",
};

// A model of several parts has its language model's type in text_config: "gemma3_text" of "gemma3".
std::string_view without_part(std::string_view model_type) {
  if (model_type == "deepseek_vl_v2")
    return "deepseek_v2";  // its files say the language model's fields at the top, too
  for (const std::string_view part : {"_text", "_text_model", "_thinker"}) {
    if (model_type.size() > part.size() && model_type.substr(model_type.size() - part.size()) == part) {
      return model_type.substr(0, model_type.size() - part.size());
    }
  }
  return model_type;
}

}  // namespace

HfFamily hf_family(std::string_view name) {
  HfFamily family;
  const std::string_view model_type = without_part(name);
  if (is_in(kInterleaved, model_type)) family.layout = Layout::interleaved;
  family.interleave_flag = is_in(kDeinterleavingByFlag, model_type);
  family.deinterleaves = family.interleave_flag || is_in(kDeinterleaving, model_type);
  family.turns_back = model_type == "nanochat";
  family.last_lanes = model_type == "deepseek_v4";
  if (is_in(kP2, model_type)) family.rounding = Rounding::p2;
  if (is_in(kP3, model_type)) family.rounding = Rounding::p3;
  set_hf_axes(model_type, family);
  set_hf_defaults(model_type, family);
  set_hf_layers(model_type, family);
  family.positions_unnamed = model_type == "modernbert" || model_type == "modernbert-decoder";
  // Hunyuan's: as in vLLM; of Bamba's second name too, in files of its first release.
  const bool attention_head_dim = model_type.substr(0, 7) == "hunyuan" || model_type == "zamba2";
  if (attention_head_dim) family.head_dim_key = "attention_head_dim";
  if (model_type == "jetmoe") family.head_dim_key = "kv_channels";
  if (model_type == "bamba") family.lanes_key = "attn_rotary_emb";
  family.gpt_j_names = model_type == "gptj" || model_type == "codegen";
  family.latent = family.deinterleaves || is_in(kLatent, model_type);
  family.neox_fraction = model_type == "gpt_neox" ? 0.25 : model_type == "gpt_neox_japanese" ? 1.0 : 0.0;
  family.latent_flag = model_type == "deepseek_v2";
  const bool phi_3 = model_type == "phi3" || model_type == "phi4_multimodal";
  family.alpha_is_ntk = model_type.substr(0, 7) == "hunyuan";
  family.yarn_is_longrope = phi_3;
  family.longrope_mscales = model_type == "phimoe";
  family.scales_softmax = is_in(kScaleSoftmax, model_type);
  family.original_length = phi_3 ? 4096 : 0;
  family.falcon_heads = model_type == "falcon";
  return family;
}

}  // namespace ropejit::internal
