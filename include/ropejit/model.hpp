// ModelRopes: the rotary embeddings of a whole model, layer by layer. Models turn some layers by one theta and some by
// another, and leave some alone; a RopeSpec is one rotation.
//
//     const auto model = ropejit::ModelRopes::from_hf_config(text, {});
//     for (std::int64_t layer = 0; layer < model.layers(); ++layer)
//       if (const ropejit::RopeSpec* spec = model.find(layer)) kernels[layer] = service.get(*spec, form);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ropejit/export.hpp"
#include "ropejit/presets.hpp"
#include "ropejit/spec.hpp"

namespace ropejit {
inline namespace v0 {

/// What ModelRopes is told beyond the config.
struct ModelOptions {
  /// Ranks that share the heads: 1 or more. It must divide the query heads, and divide the key heads or be a multiple
  /// of them: then each rank has one, of which others have a copy. The single key head of latent attention (MLA) is
  /// every rank's, and so are an indexer's heads. It must divide the heads of a vision tower.
  std::int64_t tp = 1;
  std::optional<DType> dtype;                 ///< instead of the config's
  std::optional<std::int64_t> max_model_len;  ///< tokens: max_length of the specs whose scaling depends on one
  /// Specs round as the code does that the model was trained through: Rounding p1, p2 or p3 by family (as Hugging Face
  /// transformers 5.24 has it) and AngleRounding::fp32. Otherwise both are exact.
  bool parity = false;
  /// Specs round as an engine's kernels do, instead: rounded_as, for every role. Their angles stay exact. Not together
  /// with `parity`.
  std::optional<Engine> round_as = std::nullopt;
  /// A model type that is known ("llama"), which the language model is read as whatever its own model_type is: for a
  /// type that is not known and whose code is known to rotate like that one's. ModelRopes::warnings tells of it.
  std::optional<std::string> as;
  /// The specs of RopeRole::main are those of all that a layer's attention does between its projections and its cache:
  /// q and k have their norms, constants, clamps and factors of the position, before the rotation or after, as the
  /// model has them and with the config's numbers, and v is there with what it goes through, so that launches can
  /// append it to a cache. With `parity`, round_after is what transformers rounds. Layers that do not rotate have a
  /// spec too, in which nothing rotates (Operand::rotates); those that take k and v from an earlier layer
  /// (num_kv_shared_layers) have one of q alone. With tp above 1 a norm over all heads of a token is given the sum of
  /// squares of all ranks (Statistic::given_sum): a launch of the same spec with Statistic::computed and
  /// LaunchForm::norm_sums makes each rank's part. A model whose attention has something else there is refused with
  /// Error{unsupported}, by name: latent attention, factors that are learned for each lane. Biases belong to the
  /// projections and gates to what comes after attention. A vision tower's specs are its rotation alone.
  bool prologue = false;
};

/// What in a layer rotates.
enum class RopeRole {
  main,  ///< the queries and keys of the language model's attention
  /// The queries and keys of the indexer that sparse attention chooses tokens by (DeepSeek-V3.2, GLM-MoE-DSA):
  /// [index_n_heads, index_head_dim], and one key head. In DeepSeek-V4 the keys are compressed and have positions of
  /// their own: rotate q and k in launches of their own.
  indexer,
  /// The queries and keys of the vision tower, which has layers of its own (vision_config). A patch's positions are, in
  /// the order of the axes, its row and its column before any merging of patches, in the tower's order of patches;
  /// Llama 4: its column and row, each plus 1, and 0 and 0 for the class token; Gemma 4: as its position_ids have them.
  vision,
};

ROPEJIT_EXPORT const char* to_string(RopeRole role) noexcept;

/// The rotations of a model, an immutable value. Tokens of models with M-RoPE (Qwen-VL, GLM-V, ERNIE-VL) have three
/// positions, in the order of Axes::sections: time, height, width; for text all are the same.
class ROPEJIT_EXPORT ModelRopes {
 public:
  /// Reads the text (not a path) of a Hugging Face config.json as RopeSpec::from_hf_config does, and what it says of
  /// layers: their number, layer_types, rope_parameters by kind of layer, thetas of local layers, no_rope_layers.
  /// With latent attention, q is [heads, qk_nope_head_dim + qk_rope_head_dim] and rotates its last lanes; k is the row
  /// that the model projects to, [1, kv_lora_rank + qk_rope_head_dim], likewise. A model that rotates by the negative
  /// angle (nanochat) has Direction::adjoint, which is then what its forward pass does. Throws Error rather than guess;
  /// but a vision tower whose rotation this version does not build is told of in warnings(), and by functions that are
  /// asked for it.
  static ModelRopes from_hf_config(std::string_view text, const ModelOptions& options = {});

  /// The number of layers: the language model's for main and indexer, the tower's for vision (0 where none rotates).
  std::int64_t layers(RopeRole role = RopeRole::main) const;

  /// Null where nothing of that role rotates in the layer (a NoPE layer, a layer without an indexer), or with
  /// ModelOptions::prologue where it has no attention of the tokens' own keys. Throws
  /// Error{invalid_argument} for a layer the model does not have, Error{unsupported} for a vision tower that is not
  /// built.
  const RopeSpec* find(std::int64_t layer, RopeRole role = RopeRole::main) const;

  /// The kind of the layer in the config's words ("full_attention"); "attention" where all are alike.
  const std::string& kind(std::int64_t layer) const;

  /// The rotations of a role, each once, in the order in which layers first have them.
  const std::vector<RopeSpec>& specs(RopeRole role = RopeRole::main) const;

  /// The one rotation that every layer has. Throws Error{unsupported} where layers differ.
  RopeSpec single() const;

  /// What a person should know, a line each: a type that was asked for in place of the config's own; keys of a rope
  /// dictionary, and keys that speak of the rotation or of heads, that nothing reads; parts of the model whose rotation
  /// is not built or that the specs do not say; with `prologue`, layers without a spec whose keys come from elsewhere,
  /// and layers whose v is k as it is projected (Gemma 4's attention_k_eq_v): launches are given k's address as v's
  /// there.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  friend struct ModelRopesBuilder;
  struct Role {
    std::vector<RopeSpec> specs;
    std::vector<std::optional<std::size_t>> index;  // of layers, into specs
  };
  ModelRopes() = default;
  const Role& of(RopeRole role) const;

  std::array<Role, 3> roles_;
  std::vector<std::string> kinds_;  // of the language model's layers
  std::vector<std::string> warnings_;
  std::string vision_refusal_;  // why there is no vision role; empty where there is one, or no tower
};

}  // namespace v0
}  // namespace ropejit
