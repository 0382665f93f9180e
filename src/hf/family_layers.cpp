// Which layers of a family rotate, and by which theta.
#include "hf/family_tables.hpp"

namespace ropejit::internal {
namespace {

constexpr HfTwoThetas kGemma3{"rope_theta", 1e6, "rope_local_base_freq", 1e4, false};
constexpr HfTwoThetas kModernBert{"global_rope_theta", 160000.0, "local_rope_theta", 1e4, true};
constexpr HfTwoThetas kBeam{"", 0.0, "", 1e4, false};
constexpr HfTwoThetas kDory{"", 1e7, "", 1e4, false};
constexpr HfTwoThetas kMellum{"", 5e5, "", 1e4, false};
constexpr HfTwoThetas kUltraBert{"", 2.56e6, "", 1e4, false};
constexpr HfTwoThetas kOlmo3{"rope_theta", 500000.0, "", 500000.0, false};

constexpr const char* kPattern = "sliding_window_pattern";
constexpr const char* kEvery = "global_attn_every_n_layers";
constexpr const char* kInterval = "full_attention_interval";

struct LayerRow {
  std::string_view model_type;
  const HfTwoThetas* two_thetas;
  bool only_sliding_rotates;
  bool others_are_linear;
  std::int64_t full_every;
  const char* full_every_key;
};

constexpr LayerRow kLayerRows[] = {
    {"afmoe", nullptr, true, false, 4, kEvery},
    {"bamba", nullptr, false, true, 0, ""},
    {"beam", &kBeam, false, false, 6, ""},
    {"cohere2", nullptr, true, false, 4, kPattern},
    {"cohere2_moe", nullptr, true, false, 0, ""},
    {"dory", &kDory, false, false, 4, ""},
    {"exaone4", nullptr, true, false, 4, kPattern},
    {"exaone4_5", nullptr, true, false, 0, ""},
    {"exaone_moe", nullptr, true, false, 0, ""},
    {"flint", nullptr, true, false, 0, ""},
    {"gemma3", &kGemma3, false, false, 6, kPattern},
    {"gemma3n", &kGemma3, false, false, 5, kPattern},
    {"gemma4", nullptr, false, false, 6, ""},
    {"gemma4_unified", nullptr, false, false, 6, ""},
    {"granitemoehybrid", nullptr, false, true, 0, ""},
    {"kolibri1", nullptr, true, false, 0, ""},
    {"lara_mini", nullptr, true, false, 0, ""},
    {"lfm2", nullptr, false, true, 0, ""},
    {"lfm2_moe", nullptr, false, true, 0, ""},
    {"lfm3", nullptr, false, true, 0, ""},
    {"mellum", &kMellum, false, false, 1, ""},
    {"minimax", nullptr, false, true, 2, ""},
    {"modernbert", &kModernBert, false, false, 3, kEvery},
    {"modernbert-decoder", &kModernBert, false, false, 3, kEvery},
    {"olmo3", &kOlmo3, false, false, 4, kPattern},
    {"olmo_hybrid", nullptr, false, true, 0, ""},
    {"qwen3_5", nullptr, false, true, 4, kInterval},
    {"qwen3_5_moe", nullptr, false, true, 4, kInterval},
    {"qwen3_next", nullptr, false, true, 4, kInterval},
    {"recurrent_gemma", nullptr, false, true, 0, ""},
    {"t5gemma2", &kGemma3, false, false, 6, kPattern},
    {"t5gemma2_decoder", &kGemma3, false, false, 6, kPattern},
    {"ultrabert", &kUltraBert, false, false, 3, ""},
    {"zamba2", nullptr, false, true, 0, ""},
};

// A sliding layer knows that it is one by its window (none_rotates), or a full layer rotates where the model has no
// window (all_rotate).
struct WindowRow {
  std::string_view model_type;
  HfNullWindow null_window;
};

constexpr WindowRow kWindowRows[] = {
    {"cohere2", HfNullWindow::none_rotates},  {"cohere2_moe", HfNullWindow::none_rotates},
    {"exaone4", HfNullWindow::all_rotate},    {"exaone4_5", HfNullWindow::all_rotate},
    {"exaone_moe", HfNullWindow::all_rotate}, {"flint", HfNullWindow::none_rotates},
    {"kolibri1", HfNullWindow::all_rotate},
};

constexpr HfSwitch kIfRope{"position_embedding_type", "rope"};
constexpr HfSwitch kIfRotary{"position_embedding_type", "rotary"};
constexpr HfSwitch kIfMemRope{"use_mem_rope", nullptr};

struct SwitchRow {
  std::string_view model_type;
  const HfSwitch* rotates_if;
};

constexpr SwitchRow kSwitches[] = {{"esm", &kIfRotary}, {"granitemoehybrid", &kIfRope}, {"zamba2", &kIfMemRope}};

}  // namespace

void set_hf_layers(std::string_view model_type, HfFamily& family) {
  for (const LayerRow& row : kLayerRows) {
    if (row.model_type != model_type) continue;
    family.two_thetas = row.two_thetas;
    family.only_sliding_rotates = row.only_sliding_rotates;
    family.others_are_linear = row.others_are_linear;
    family.full_every = row.full_every;
    family.full_every_key = row.full_every_key;
  }
  for (const WindowRow& row : kWindowRows) {
    if (row.model_type == model_type) family.null_window = row.null_window;
  }
  for (const SwitchRow& row : kSwitches) {
    if (row.model_type == model_type) family.rotates_if = row.rotates_if;
  }
  family.full_first = model_type == "modernbert" || model_type == "modernbert-decoder" || model_type == "minimax";
  family.dense_layers_rotate = model_type == "cohere2_moe";
  family.last_is_full = model_type == "beam";
  family.no_rope_list = model_type == "llama4" || model_type == "llama4_text" || model_type == "smollm3";
  if (model_type == "bamba") family.attention_layers_key = "attn_layer_indices";
  if (model_type == "lfm2") family.attention_layers_key = "full_attn_idxs";
  family.indexer_types = model_type == "glm_moe_dsa" || model_type == "hy_v4";
  family.every_fourth_indexer = model_type == "hy_v4";
  family.gemma_4 = model_type.substr(0, 6) == "gemma4";
  family.deepseek_v4 = model_type == "deepseek_v4";
}

}  // namespace ropejit::internal
