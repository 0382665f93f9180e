#include "spec/hf_families.hpp"

#include <algorithm>
#include <iterator>

namespace ropejit::internal {
namespace {

constexpr std::string_view kInterleaved[] = {
    "blt", "codegen", "cohere", "cohere2", "cohere2_moe", "deepseek_v2", "ernie4_5",  "ernie4_5_moe",
    "glm", "glm4",    "gptj",   "helium",  "llama4",      "llama4_text", "moonshine", "moonshine_streaming",
};

// They read neighbouring lanes and write halves, unless rope_interleave is false.
constexpr std::string_view kDeinterleaving[] = {"deepseek_v3", "kimi_k2"};

struct Refusal {
  std::string_view model_type;  // with a final '*': every type that begins so
  const char* why;
};

constexpr const char* kDeinterleaves = "whose de-interleaving attention this version does not know in detail";
constexpr const char* kAxes = "whose tokens have positions on several axes";
constexpr const char* kNoRope = "which has no rotary embedding";

constexpr Refusal kRefused[] = {
    {"axk1", kDeinterleaves},
    {"axk2", kDeinterleaves},
    {"bert", kNoRope},
    {"bloom", kNoRope},
    {"chatglm", "whose config is not of Hugging Face's own classes"},
    {"deepseek_v32*", kDeinterleaves},
    {"deepseek_v4*", "which rotates the last lanes and turns the output back"},
    {"distilbert", kNoRope},
    {"ernie4_5_vl*", kAxes},
    {"gemma4*", "whose layers rotate in two ways, one of them proportional"},
    {"glm4_moe_lite", kDeinterleaves},
    {"glm4v*", kAxes},
    {"glm_moe_dsa", kDeinterleaves},
    {"glm_ocr*", kAxes},
    {"gpt2", kNoRope},
    {"gpt_bigcode", kNoRope},
    {"gpt_neo", kNoRope},
    {"hunyuan_vl*", kAxes},
    {"kimi*", kDeinterleaves},
    {"longcat_flash", kDeinterleaves},
    {"llama4_vision*", kAxes},
    {"mistral4*", kDeinterleaves},
    {"mistral_large4*", "whose layers rotate or not by rules of their own"},
    {"mpt", kNoRope},
    {"nanochat", "which rotates by the negative angle"},
    {"openpangu*", kAxes},
    {"opt", kNoRope},
    {"roberta", kNoRope},
    {"youtu", kDeinterleaves},
};

constexpr std::string_view kNeedTheta[] = {
    "apertus",  "bitnet",       "cohere",
    "ernie4_5", "ernie4_5_moe", "fuyu",
    "gpt_oss",  "hy_v3",        "jina_embeddings_v3",
    "lfm2",     "lfm2_moe",     "minimax_m3",
    "llama4",   "llama4_text",  "mistral3",
    "mixtral",  "nomic_bert",   "persimmon",
    "smollm3",
};

constexpr std::string_view kNeedFraction[] = {
    "bamba",           "codegen",   "fuyu",       "glm",        "glm4",        "glm4_moe",
    "gpt_neox",        "gptj",      "minimax_m2", "minimax_m3", "moonshine",   "moonshine_streaming",
    "nemotron",        "persimmon", "phi",        "qwen3_5",    "qwen3_5_moe", "qwen3_next",
    "recurrent_gemma", "stablelm",
};

constexpr std::string_view kNeedHeadDim[] = {
    "gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n",   "gemma3n_text",
    "glm",   "glm4",   "helium", "qwen3",       "qwen3_moe", "qwen3_next",
};

// Those whose attention has it in transformers 5.23, whether or not this version builds the rotation.
constexpr std::string_view kScaleSoftmax[] = {
    "axk1",        "axk2",  "bailing_hybrid", "deepseek_v2", "deepseek_v3", "deepseek_v32",   "glm4_moe_lite",
    "glm_moe_dsa", "hy_v4", "longcat_flash",  "minicpm3",    "mistral4",    "mistral_large4", "youtu",
};

constexpr HfTwoThetas kGemma3{"rope_theta", 1e6, "rope_local_base_freq", 1e4, false};
constexpr HfTwoThetas kModernBert{"global_rope_theta", 160000.0, "local_rope_theta", 1e4, true};
constexpr HfTwoThetas kOlmo3{"rope_theta", 500000.0, "rope_theta", 500000.0, false};

struct LayerRow {
  std::string_view model_type;
  const HfTwoThetas* two_thetas;
  bool only_sliding_rotates;
  std::int64_t full_every;
  const char* full_every_key;
};

constexpr LayerRow kLayerRows[] = {
    {"afmoe", nullptr, true, 4, "global_attn_every_n_layers"},
    {"cohere2", nullptr, true, 4, "sliding_window_pattern"},
    {"cohere2_moe", nullptr, true, 0, ""},
    {"exaone4", nullptr, true, 4, "sliding_window_pattern"},
    {"exaone4_5", nullptr, true, 0, ""},
    {"exaone_moe", nullptr, true, 0, ""},
    {"flint", nullptr, true, 0, ""},
    {"gemma3", &kGemma3, false, 6, "sliding_window_pattern"},
    {"gemma3_text", &kGemma3, false, 6, "sliding_window_pattern"},
    {"gemma3n", &kGemma3, false, 5, "sliding_window_pattern"},
    {"gemma3n_text", &kGemma3, false, 5, "sliding_window_pattern"},
    {"kolibri1", nullptr, true, 0, ""},
    {"modernbert", &kModernBert, false, 3, "global_attn_every_n_layers"},
    {"olmo3", &kOlmo3, false, 4, "sliding_window_pattern"},
};

template <class Table>
bool contains(const Table& table, std::string_view name) {
  return std::find(std::begin(table), std::end(table), name) != std::end(table);
}

const char* refusal_of(std::string_view model_type) {
  for (const Refusal& row : kRefused) {
    std::string_view pattern = row.model_type;
    const bool prefix = pattern.back() == '*';
    if (prefix) pattern.remove_suffix(1);
    if (prefix ? model_type.substr(0, pattern.size()) == pattern : model_type == pattern) return row.why;
  }
  return nullptr;
}

}  // namespace

HfFamily hf_family(std::string_view model_type) {
  HfFamily family;
  if (contains(kInterleaved, model_type)) family.layout = Layout::interleaved;
  family.deinterleaves = contains(kDeinterleaving, model_type);
  if (!family.deinterleaves) family.refusal = refusal_of(model_type);
  family.needs_theta = contains(kNeedTheta, model_type);
  family.needs_fraction = contains(kNeedFraction, model_type);
  family.needs_head_dim = contains(kNeedHeadDim, model_type);
  family.gpt_j_names = model_type == "gptj" || model_type == "codegen";
  for (const LayerRow& row : kLayerRows) {
    if (row.model_type != model_type) continue;
    family.two_thetas = row.two_thetas;
    family.only_sliding_rotates = row.only_sliding_rotates;
    family.full_every = row.full_every;
    family.full_every_key = row.full_every_key;
  }
  family.full_first = model_type == "modernbert";
  family.no_rope_list = model_type == "llama4" || model_type == "llama4_text" || model_type == "smollm3";
  family.latent = model_type == "deepseek_v2" || model_type == "minicpm3" || family.deinterleaves;
  const bool phi_3 = model_type == "phi3" || model_type == "phi4_multimodal";
  family.alpha_is_ntk = model_type.substr(0, 7) == "hunyuan";
  family.yarn_is_longrope = phi_3;
  family.longrope_mscales = model_type == "phimoe";
  family.scales_softmax = contains(kScaleSoftmax, model_type) || family.deinterleaves;
  family.original_length = phi_3 ? 4096 : 0;
  family.falcon_heads = model_type == "falcon";
  return family;
}

}  // namespace ropejit::internal
