// What a config.json does not say about its model's rotary embedding: a family is the model types whose code in Hugging
// Face transformers 5.24 rotates alike, with everything that is known of that code. tests/golden/make_hf_models.py and
// make_hf_layers.py take the same facts from the code itself, and tests compare. All of it is constant data.
#pragma once

#include <llvm/ADT/ArrayRef.h>
#include <llvm/ADT/StringRef.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct HfLayer;
struct HfRopeDict;

/// What a config must say: where it does not, the family's class has a value of its own, and the usual default would be
/// a guess. Bits of HfFamily::needs.
enum HfNeeds : unsigned {
  needs_theta = 1,      ///< the class's own theta is not 10000
  needs_rope_dict = 2,  ///< the class's own rope dictionary scales
  needs_fraction = 4,   ///< the class rotates only some lanes of a head
  needs_lanes = 8,      ///< the same, of a class that is told their number and not their fraction
  needs_head_dim = 16,  ///< the class's own head_dim is not hidden_size / num_attention_heads
  needs_kv_heads = 32,  ///< the class's own num_key_value_heads is not num_attention_heads
};

/// The rotation of full layers, and that of local ("sliding_attention") ones.
struct HfTwoThetas {
  const char* full_key = "";   ///< empty: only rope_parameters by kind of layer can say another theta
  double full = 0;             ///< the theta where the key is absent; 0: full layers do not rotate then
  const char* local_key = "";  ///< the same for local layers
  double local = 1e4;          ///< the theta where the key is absent
  bool scales_local = false;   ///< rope_scaling is for local layers too
};

/// What sliding_window null means to a family whose sliding layers alone rotate.
enum class HfNullWindow { nothing, all_rotate, none_rotates };

/// Positions on several axes (M-RoPE).
struct HfAxes {
  AxisOrder order = AxisOrder::chunked;
  std::array<std::int64_t, 3> sections{};  ///< pairs of each axis where a config has none; zeros: it must have them
  bool time_is_last = false;               ///< a config's sections are height, width, time: those of axes 1, 2, 0
};

/// The small attention of a sparse one, which chooses the tokens to attend to. All queries share its one key.
struct HfIndexer {
  std::int64_t heads = 64;      ///< where index_n_heads is absent
  std::int64_t head_dim = 128;  ///< where index_head_dim is absent
  bool deinterleaves = false;   ///< reads interleaved and writes split_half, where the config does not say
  bool has_flag = true;         ///< the config may say so (indexer_rope_interleave)
  bool last_lanes = false;      ///< the last lanes of a head rotate, not the first
  const char* layer_kind = "";  ///< only layers of this kind have one; empty: all layers
  bool has_types = false;       ///< a config may say which layers take the choice of the layer before
  bool every_fourth = false;    ///< where it does not say: layers 0, 1, 5, 9, ... choose
};

/// What attention has in the place of a norm of q and k.
enum class HfNormKind {
  unknown,  ///< nobody has looked
  none,     ///< no norm
  rms,
  layer,
  l2,         ///< its eps is the machine epsilon of the dtype
  not_built,  ///< something that this version does not build
};

/// The norms of q and of k, which are alike. Biases of the projections do not count.
struct HfNorm {
  HfNormKind kind = HfNormKind::unknown;
  const char* what = "";           ///< of not_built, what a person is told: "whose q and k are convolved"
  NormSpan span = NormSpan::head;  ///< whose lanes its statistic is of
  const char* span_key = "";       ///< the key that says "olmo" where the span is token; empty: the family's span
  NormWeight weight = NormWeight::lanes;
  bool plus_one = false;                            ///< lanes are multiplied by 1 + w
  bool bias = false;                                ///< as many biases as weights are added
  bool after = false;                               ///< q and k are normed after they have rotated
  bool where_rotating = false;                      ///< layers that do not rotate have no norm
  bool of_v = false;                                ///< v is normed as well, without weights
  double eps = 1e-6;                                ///< the class's, where the key is absent
  const char* eps_keys[2] = {"rms_norm_eps", ""};   ///< the names of the config's; the first found counts
  RoundAfter rounds{.norm = true, .weight = true};  ///< where the code rounds to the dtype on the way to the result
  const char* if_key = "";  ///< attention has it only where this key is true or a number but 0; empty: always
  bool if_absent = false;   ///< where that key is absent, it has it
};

/// A constant that operands are multiplied by, and rounded, before they rotate or after. Operands that are not named
/// are not.
struct HfScale {
  bool of_q = false;
  bool of_k = false;
  bool of_v = false;
  const char* key = "";        ///< the config's own; empty: it has none. Null stands for 1
  double otherwise = 1;        ///< where the key is absent
  double head_dim_power = 0;   ///< without a key: head_dim to that power
  bool after = false;          ///< it comes after the rotation
  bool by_heads_of_k = false;  ///< k is also multiplied by learned factors, one a head
};

/// A vision tower, whose patches have two positions each: height and width in the order of the axes, or for Llama 4 x
/// and y. The numbers are those of the tower's class, and count where vision_config has none.
struct HfTower {
  llvm::StringLiteral types = "";  ///< model types of vision_config, or of the model where that has none
  Layout layout = Layout::split_half;
  AxisFrequencies frequencies = AxisFrequencies::restarted;
  Rounding rounding = Rounding::p3;
  double theta = 1e4;
  const char* layers_key = "depth";
  std::int64_t layers = 0;
  const char* heads_key = "num_heads";
  std::int64_t heads = 16;
  const char* width_key = "hidden_size";
  std::int64_t width = 0;
  std::int64_t head_dim = 0;  ///< 0: the width over the heads
  std::int64_t kv_heads = 0;  ///< 0: as many as heads
};

/// The lanes of a head, and the heads of all ranks.
struct HfHeads {
  std::int64_t head_dim;
  std::int64_t kv_heads;
  std::int64_t q_heads;
};

/// One row of the table: everything in which the family differs from a Llama. Lists of names are words with a space
/// between two. Functions read a config, and throw Error naming the field that they cannot read. The members stand in
/// the order in which a person reads a row.
struct HfFamily {                         // NOLINT(clang-analyzer-optin.performance.Padding)
  llvm::StringLiteral types = "";         ///< language types, whose own fields describe attention that rotates
  llvm::StringLiteral whole_models = "";  ///< types of models of which such a language model is a part
  std::optional<HfTower> tower{};         ///< the vision tower that came with the family
  const char* warning = "";               ///< what ModelRopes::warnings says of every model of the family

  // Lanes, and how the rotation is computed.
  Layout layout = Layout::split_half;
  bool deinterleaves = false;    ///< reads interleaved and writes split_half
  bool interleave_flag = false;  ///< where rope_interleave is false it reads and writes split_half
  bool turns_back = false;       ///< rotates by the negative angle
  bool last_lanes = false;       ///< the last lanes of a head rotate
  Rounding rounding = Rounding::p1;
  std::optional<HfAxes> axes{};        ///< nothing: one axis
  std::optional<HfIndexer> indexer{};  ///< nothing: attention is not sparse

  // What else q, k and v go through on their way to attention; of latent attention it does not count.
  HfNorm norm{};
  std::optional<HfScale> scale{};  ///< nothing: no constant
  const char* clamp_key = "";      ///< q, k and v are held within plus and minus this key's number; empty: never
  /// What q is multiplied by after all else, as the token's position says; null: nothing. Nothing comes of it where the
  /// config turns it off, or for layers that rotate or do not.
  std::optional<Temperature> (*temperature)(const ObjectReader& config, bool rotates) = nullptr;
  bool rounds_tau = false;  ///< and its factor is rounded to the dtype
  /// What layers that do not rotate have beside and this version does not build, as a person is told it; empty:
  /// nothing.
  const char* still_layers_have = "";
  /// The last layers take k and v from earlier ones, as many as num_kv_shared_layers says: this many where it is
  /// absent. Nothing: every layer has its own.
  std::optional<std::int64_t> shared_kv_layers{};
  const char* v_head_dim_key = "";  ///< v has a head_dim of its own, which this key says; empty: that of k
  std::int64_t v_head_dim = 0;      ///< where that key is absent
  /// q's projection gives each head [q | gate], and attention's output is multiplied by a sigmoid of the latter.
  bool gated = false;
  /// In full layers v is k as it is projected, where this key is true; empty: never.
  const char* v_is_k_key = "";

  // Names and defaults of sizes.
  unsigned needs = 0;                              ///< of HfNeeds
  const char* head_dim_key = "head_dim";           ///< the second name of head_dim
  const char* lanes_keys[2] = {"rotary_dim", ""};  ///< the names of how many lanes rotate; the first found counts
  bool shares_width = false;  ///< head_dim is hidden_size / num_attention_heads, whatever a config says
  bool one_kv_head = false;   ///< the class has one where num_key_value_heads is absent
  bool gpt_j_names = false;   ///< sizes may have the names n_embd and n_head
  /// GPT-NeoX reads rotary_pct and rotary_emb_base in place of the usual names: this is rotary_pct where it is absent.
  /// 0: the usual names.
  double neox_fraction = 0;
  /// The attention is latent (MLA): qk_nope_head_dim, qk_rope_head_dim, kv_lora_rank. The code of all such families
  /// multiplies the softmax scale by g(s, mscale_all_dim)^2.
  bool latent = false;
  bool latent_flag = false;        ///< where use_mla is false the attention is a Llama's
  bool positions_unnamed = false;  ///< position_embedding_type "absolute" says nothing
  const char* own_keys = "";       ///< keys that the family reads and that other families are refused for
  /// The key heads of all ranks; null: the usual names say them.
  std::int64_t (*kv_heads)(const ObjectReader& config, std::int64_t q_heads) = nullptr;
  /// The heads of the layers of one kind, from those that layers usually have; null: all layers have the usual ones.
  HfHeads (*heads_of_kind)(const ObjectReader& config, llvm::StringRef kind, HfHeads usual) = nullptr;

  // Layers.
  const char* rotates_if_key = "";    ///< no layer rotates unless this key has the value; empty: nothing turns it off
  const char* rotates_if_value = "";  ///< a string; empty: true
  std::optional<HfTwoThetas> two_thetas{};  ///< nothing: one theta
  bool no_rope_list = false;                ///< no_rope_layers or no_rope_layer_interval says which layers rotate
  /// The key of an array of a theta a layer, of which 0 says that the layer does not rotate; empty: there is none.
  /// Where it is absent every fourth layer does not, counted backward from the last.
  const char* layer_thetas_key = "";
  bool only_sliding_rotates = false;  ///< full layers do not rotate
  bool dense_layers_rotate = false;   ///< layers before the experts do (prefix_dense_sliding_window_pattern)
  HfNullWindow null_window = HfNullWindow::nothing;
  std::int64_t full_every = 0;            ///< without layer_types, every n-th layer is full; 0: no such pattern
  const char* full_every_key = "";        ///< the key of the config's own n; empty: it has none
  bool full_first = false;                ///< layers 0, n, 2n, ... are full, not n - 1, 2n - 1, ...
  bool pattern_ends_full = false;         ///< the last layer of such a pattern is full, too
  bool ends_full = false;                 ///< the last layer is full, whatever the config says
  bool others_are_linear = false;         ///< layers that are not full have linear attention, which does not rotate
  const char* attention_layers_key = "";  ///< the key of an array of those with attention; empty: none
  /// The layers where layer_types is absent; null: what stands above says them.
  std::vector<HfLayer> (*layers)(const ObjectReader& config, std::int64_t count) = nullptr;

  // Rope dictionaries.
  bool alpha_is_ntk = false;         ///< dynamic scaling with an alpha is ntk scaling
  bool yarn_is_longrope = false;     ///< "yarn" means longrope, as "su" does everywhere
  bool longrope_mscales = false;     ///< short_mscale and long_mscale are the attention scale
  std::int64_t original_length = 0;  ///< the class's own original_max_position_embeddings; 0: it has none
  /// What holds for the layers of one kind, as read_hf_rope_dict has it; null: the usual places say it.
  HfRopeDict (*rope_dict)(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                          const std::string& kind) = nullptr;
};

/// The family of a language type; null for any other type.
const HfFamily* find_hf_family(llvm::StringRef language_type);

/// The language type that a config of that model type is read by: the type itself, or for a whole model the type that
/// transformers gives its part, which counts where the part's config has none ("llama" of "llava"). Empty: not known.
llvm::StringRef hf_language_type(llvm::StringRef model_type);

/// The vision tower of a model type; null for any other type. It is one of the table.
const HfTower* find_hf_tower(llvm::StringRef model_type);

/// The language type that a config.json is read as. Any type that no table has is an error: most models with a key that
/// nobody knows would otherwise pass for a Llama. `configs`: the whole model's first, the language model's last; each
/// has a model_type of its own or none. `as`: the type to read the language model as, whatever they say, and a line is
/// added to `warnings` where they say another. Throws Error naming the type and the ways on: for one that is not known,
/// known not to be built, or absent, and for `as` where it is no known type itself.
std::string read_hf_type(llvm::ArrayRef<ObjectReader> configs, const std::optional<std::string>& as,
                         std::vector<std::string>& warnings);

/// Why a model type is not built, such as "which has no rotary embedding"; null where it is built, or not known at all.
const char* hf_refusal(llvm::StringRef model_type);

/// Whether it is a type of a model that has no rotary embedding: "bert".
bool has_no_rope(llvm::StringRef model_type);

/// Whether a list with a space between two names has that one.
bool has_word(llvm::StringRef words, llvm::StringRef word);

}  // namespace ropejit::internal
