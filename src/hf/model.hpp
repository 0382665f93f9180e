// A model's config.json: its language model, family and layers, and from them specs.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hf/family.hpp"
#include "hf/layers.hpp"
#include "hf/parts.hpp"
#include "ropejit/model.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// What decides a layer's spec: layers of one sort have the same.
struct HfLayerSort {
  std::string kind;        ///< in the config's words
  bool rotates = true;     ///< false: a spec of the rest of its prologue
  bool shares_kv = false;  ///< with ModelOptions::prologue: it takes k and v from an earlier layer

  friend auto operator<=>(const HfLayerSort&, const HfLayerSort&) = default;
};

class HfModel {
 public:
  /// `object` must outlive it. `as`: ModelOptions::as. `lenient`: see read_hf_layers. Throws Error{unsupported} for a
  /// model type that is not read, or a key that makes a model rotate in a way which this version does not build.
  HfModel(const llvm::json::Object& object, const std::optional<std::string>& as, bool lenient);
  HfModel(const HfModel&) = delete;
  HfModel& operator=(const HfModel&) = delete;

  const std::vector<HfLayer>& layers() const { return layers_; }
  /// Whether the layer has a rotation at all.
  bool rotates(std::size_t layer) const;
  /// The layer's sort; nothing where it has no spec.
  std::optional<HfLayerSort> sort(std::size_t layer, const ModelOptions& options) const;
  /// What layers of that sort have, validated.
  RopeSpec spec(const HfLayerSort& sort, const ModelOptions& options) const;
  /// The rotation of indexers of layers of that kind, which the family must have.
  RopeSpec indexer_spec(const std::string& kind, const ModelOptions& options) const;
  std::optional<HfVision> vision(const ModelOptions& options) const;
  /// A line each, as ModelRopes::warnings has them. Call it last: what was not read until then, nothing reads.
  std::vector<std::string> warnings(ModelOptions options) const;

 private:
  DType dtype(const ModelOptions& options) const;
  void set_rotation(const HfLayerSort& sort, const ModelOptions& options, RopeSpec& spec) const;
  void add_prologue_warnings(std::vector<std::string>& lines) const;

  KeyLog log_;  // of the keys that the readers below were asked for
  HfParts parts_;
  ObjectReader config_;  // of the language model
  std::vector<std::string> type_warnings_;
  std::string type_;        // of the language model
  const HfFamily& family_;  // of the table
  std::vector<HfLayer> layers_;
  std::optional<ObjectReader> nested_dicts_;  // found once: it walks all layers
};

/// What ModelRopes::from_hf_config does; `lenient`: see read_hf_layers.
ModelRopes read_model_ropes(std::string_view text, const ModelOptions& options, bool lenient);
/// The same for a config that is part of a larger document.
ModelRopes read_model_ropes(const llvm::json::Object& config, const ModelOptions& options, bool lenient);

}  // namespace ropejit::internal
