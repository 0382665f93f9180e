// A model's config.json: its language model, family and layers, and from them specs.
#pragma once

#include <string>
#include <vector>

#include "ropejit/model.hpp"
#include "spec/hf_families.hpp"
#include "spec/hf_layers.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

class HfModel {
 public:
  /// `object` must outlive it. `lenient`: see read_hf_layers. Throws Error{unsupported} for a family, or a key that
  /// makes a model rotate in a way, which this version does not build.
  HfModel(const llvm::json::Object& object, bool lenient);

  const std::vector<HfLayer>& layers() const { return layers_; }
  /// Whether the layer has a rotation at all.
  bool rotates(std::size_t layer) const;
  /// The rotation of layers of that kind, validated.
  RopeSpec spec(const std::string& kind, const ModelOptions& options) const;

 private:
  ObjectReader top_;
  ObjectReader config_;
  HfFamily family_;
  std::vector<HfLayer> layers_;
};

}  // namespace ropejit::internal
