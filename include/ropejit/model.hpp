// ModelRopes: the rotary embeddings of a whole model, layer by layer. Models turn some layers by one theta and some by
// another, and leave some alone; a RopeSpec is one rotation.
//
//     const auto model = ropejit::ModelRopes::from_hf_config(text, {});
//     for (std::int64_t layer = 0; layer < model.layers(); ++layer)
//       if (const ropejit::RopeSpec* spec = model.find(layer)) kernels[layer] = service.get(*spec, form);
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ropejit/export.hpp"
#include "ropejit/spec.hpp"

namespace ropejit {
inline namespace v0 {

struct ModelOptions {
  /// Ranks that share the heads: 1 or more. It must divide the query heads, and divide the key heads or be a multiple
  /// of them: then each rank has one, of which others have a copy. The single key head of latent attention (MLA) is
  /// every rank's.
  std::int64_t tp = 1;
  std::optional<DType> dtype;                 ///< instead of the config's
  std::optional<std::int64_t> max_model_len;  ///< tokens: max_length of the specs whose scaling depends on one
};

/// What in a layer rotates. Vision towers and indexers are not told of yet.
enum class RopeRole {
  main,  ///< the queries and keys of the language model's attention
};

/// An immutable value.
class ROPEJIT_EXPORT ModelRopes {
 public:
  /// Reads the text (not a path) of a Hugging Face config.json as RopeSpec::from_hf_config does, and what it says of
  /// layers: their number, layer_types, rope_parameters by kind of layer, thetas of local layers, no_rope_layers.
  /// With latent attention, q is [heads, qk_nope_head_dim + qk_rope_head_dim] and rotates its last lanes; k is the row
  /// that the model projects to, [1, kv_lora_rank + qk_rope_head_dim], likewise. Throws Error rather than guess.
  static ModelRopes from_hf_config(std::string_view text, const ModelOptions& options = {});

  std::int64_t layers() const noexcept { return static_cast<std::int64_t>(index_.size()); }

  /// Null: nothing rotates there (a NoPE layer). Throws Error{invalid_argument} for a layer the model does not have.
  const RopeSpec* find(std::int64_t layer, RopeRole role = RopeRole::main) const;

  /// The kind of the layer in the config's words ("full_attention"); "attention" where all are alike.
  const std::string& kind(std::int64_t layer) const;

  /// The rotations, each once, in the order in which layers first have them.
  const std::vector<RopeSpec>& specs() const noexcept { return specs_; }

  /// The one rotation that every layer has. Throws Error{unsupported} where layers differ.
  RopeSpec single() const;

 private:
  friend struct ModelRopesBuilder;
  ModelRopes() = default;

  std::vector<RopeSpec> specs_;
  std::vector<std::string> kinds_;                 // of layers
  std::vector<std::optional<std::size_t>> index_;  // of layers, into specs_
};

}  // namespace v0
}  // namespace ropejit
