// What a config.json does not say about its model's rotary embedding, by model_type: facts about the code of Hugging
// Face transformers 5.24, which tests/golden/make_hf_models.py and make_hf_layers.py take from that code and tests
// compare.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// Two rotations in one model: that of full layers, and that of local ("sliding_attention") ones.
struct HfTwoThetas {
  const char* full_key;  ///< empty: only rope_parameters by kind of layer can say another theta
  double full;           ///< where the key is absent; 0: full layers do not rotate then
  const char* local_key;
  double local;
  bool scales_local;  ///< rope_scaling is for local layers too
};

/// What sliding_window null means to a family whose sliding layers alone rotate.
enum class HfNullWindow { nothing, all_rotate, none_rotates };

/// A key of the config without which, or with another value than this, no layer rotates.
struct HfSwitch {
  const char* key;
  const char* value;  ///< a string; null: the key must be true
};

/// Positions on several axes (M-RoPE).
struct HfAxes {
  AxisOrder order;
  std::array<std::int64_t, 3> sections;  ///< where a config has none; zeros: it must have them
  bool time_is_last = false;             ///< a config's sections are height, width, time: those of axes 1, 2, 0
};

/// The small attention of a sparse one, which chooses the tokens to attend to. Its one key is every query's.
struct HfIndexer {
  bool deinterleaves;  ///< reads interleaved and writes split_half
  bool last_lanes;     ///< the last lanes of a head rotate, not the first
  std::int64_t heads;  ///< where index_n_heads is absent
  std::int64_t head_dim;
};

struct HfFamily {
  Layout layout = Layout::split_half;
  bool deinterleaves = false;    ///< reads interleaved and writes split_half
  bool interleave_flag = false;  ///< but split_half throughout where rope_interleave is false
  bool turns_back = false;       ///< rotates by the negative angle
  bool last_lanes = false;       ///< the last lanes of a head rotate
  Rounding rounding = Rounding::p1;
  const HfAxes* axes = nullptr;        ///< in static storage; null: one axis
  const HfIndexer* indexer = nullptr;  ///< in static storage
  // The family's class supplies a value of its own where a config has none, so that the usual default would be a guess.
  bool needs_theta = false;               ///< its default is not 10000
  bool needs_rope_dict = false;           ///< its default is a scaling
  bool needs_fraction = false;            ///< its default is not "all lanes rotate"
  bool shares_width = false;              ///< head_dim is hidden_size / num_attention_heads, whatever a config says
  bool needs_head_dim = false;            ///< its default is not hidden_size / num_attention_heads
  bool needs_kv_heads = false;            ///< its default is not num_attention_heads
  bool positions_unnamed = false;         ///< position_embedding_type says nothing
  const char* head_dim_key = "head_dim";  ///< its second name
  const char* lanes_key = "rotary_dim";   ///< another name of how many lanes rotate
  double neox_fraction = 0;  ///< GPT-NeoX: rotary_pct where absent, its own name, as rotary_emb_base; 0: no
  bool gpt_j_names = false;  ///< n_embd and n_head, as well as the usual names
  bool latent = false;       ///< MLA: qk_nope_head_dim, qk_rope_head_dim, kv_lora_rank
  bool latent_flag = false;  ///< but a Llama's attention where use_mla is false
  // Layers; see hf/layers.cpp.
  const HfSwitch* rotates_if = nullptr;     ///< in static storage; null: nothing turns the rotation off
  const HfTwoThetas* two_thetas = nullptr;  ///< in static storage
  bool no_rope_list = false;                ///< no_rope_layers, no_rope_layer_interval
  bool only_sliding_rotates = false;        ///< full layers do not
  bool dense_layers_rotate = false;         ///< but those before the experts do (prefix_dense_sliding_window_pattern)
  HfNullWindow null_window = HfNullWindow::nothing;
  std::int64_t full_every = 0;            ///< without layer_types, every n-th layer is full; 0: no such pattern
  const char* full_every_key = "";        ///< the config's own n
  bool full_first = false;                ///< layers 0, n, 2n, ... are, not n - 1, 2n - 1, ...
  bool last_is_full = false;              ///< and so is the last layer, whatever the pattern
  bool others_are_linear = false;         ///< and the others have linear attention, which does not rotate
  const char* attention_layers_key = "";  ///< an array of those with attention, where layer_types is absent
  bool indexer_types = false;             ///< some layers' indexers are those of the layer before
  bool every_fourth_indexer = false;      ///< where indexer_types is absent: layers 0, 1, 5, 9, ...
  bool gemma_4 = false;                   ///< full layers have a head_dim and key heads of their own
  bool deepseek_v4 = false;               ///< rotations by compression; see hf/deepseek_v4.hpp
  // Quirks of rope dictionaries; see hf/scaling.cpp.
  bool alpha_is_ntk = false;         ///< dynamic with an alpha is ntk
  bool yarn_is_longrope = false;     ///< and "su", as everywhere
  bool longrope_mscales = false;     ///< short_mscale and long_mscale are the attention scale
  bool scales_softmax = false;       ///< the softmax scale is multiplied by g(s, mscale_all_dim)^2
  std::int64_t original_length = 0;  ///< the class's own original_max_position_embeddings; 0: it has none
  bool falcon_heads = false;         ///< multi_query counts unless new_decoder_architecture is set; num_kv_heads
};

/// Of a type that is known (hf/known_types.hpp). One that no table here names is like a Llama: split_half,
/// everything the usual way.
HfFamily hf_family(std::string_view model_type);

}  // namespace ropejit::internal
