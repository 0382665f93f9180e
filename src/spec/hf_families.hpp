// What a config.json does not say about its model's rotary embedding, by model_type: facts about the code of Hugging
// Face transformers (c49429ed; scaling: 5.23), which this project's tests do not run.
#pragma once

#include <cstdint>
#include <string_view>

#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// Two rotations in one model: that of full layers, and that of local ("sliding_attention") ones.
struct HfTwoThetas {
  const char* full_key;
  double full;  ///< where the key is absent
  const char* local_key;
  double local;
  bool scales_local;  ///< rope_scaling is for local layers too
};

struct HfFamily {
  Layout layout = Layout::split_half;
  bool deinterleaves = false;  ///< reads interleaved and writes split_half, unless rope_interleave is false
  /// Why this version does not build the family's rotation; null where it does.
  const char* refusal = nullptr;
  // The family's class supplies a value of its own where a config has none, so that the usual default would be a guess.
  bool needs_theta = false;     ///< its default is not 10000
  bool needs_fraction = false;  ///< its default is not "all lanes rotate"
  bool needs_head_dim = false;  ///< its default is not hidden_size / num_attention_heads
  bool gpt_j_names = false;     ///< n_embd and n_head, as well as the usual names
  bool latent = false;          ///< MLA: qk_nope_head_dim, qk_rope_head_dim, kv_lora_rank
  // Layers; see spec/hf_layers.cpp.
  const HfTwoThetas* two_thetas = nullptr;  ///< in static storage
  bool no_rope_list = false;                ///< no_rope_layers, no_rope_layer_interval
  bool only_sliding_rotates = false;        ///< full layers do not, unless sliding_window is null
  std::int64_t full_every = 0;              ///< without layer_types, every n-th layer is full; 0: no such pattern
  const char* full_every_key = "";          ///< the config's own n
  bool full_first = false;                  ///< layers 0, n, 2n, ... are, not n - 1, 2n - 1, ...
  // Quirks of rope dictionaries; see spec/hf_scaling.cpp.
  bool alpha_is_ntk = false;         ///< dynamic with an alpha is ntk
  bool yarn_is_longrope = false;     ///< and "su", as everywhere
  bool longrope_mscales = false;     ///< short_mscale and long_mscale are the attention scale
  bool scales_softmax = false;       ///< the softmax scale is multiplied by g(s, mscale_all_dim)^2
  std::int64_t original_length = 0;  ///< the class's own original_max_position_embeddings; 0: it has none
  bool falcon_heads = false;         ///< multi_query counts unless new_decoder_architecture is set; num_kv_heads
};

/// A type that no table knows is taken for a Llama: split_half, everything the usual way.
HfFamily hf_family(std::string_view model_type);

}  // namespace ropejit::internal
