// Models as manifests name them: a name, a family, and each rotation of theirs once, without a dtype.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "deploy/problems.hpp"
#include "ropejit/model.hpp"
#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct WarmRope {
  RopeSpec spec;            ///< its dtype is of no meaning
  bool replicated = false;  ///< every rank of tensor parallelism has all heads: an indexer's
};

struct WarmModel {
  std::string name;
  std::string family;  ///< "llama"; may be empty
  std::vector<WarmRope> ropes;
  std::vector<std::string> warnings;  ///< of its config: ModelRopes::warnings
};

/// A model as a manifest, or the shipped list, has it; the grammar is in cache/manifests/README.md. What is wrong goes
/// to `problems`, with `where` before it; the model may then lack rotations.
WarmModel read_warm_model(const llvm::json::Object& object, const std::string& where, Problems& problems);

/// Every rotation of a model: its layers', its indexers' and its vision tower's. A tower that this version does not
/// build is left out.
std::vector<WarmRope> warm_ropes_of(const ModelRopes& model);

/// The models of cache/manifests/models.json, embedded when the library was built, in the file's order. Names are
/// unique.
const std::vector<WarmModel>& shipped_models();

/// The same for any text of that grammar.
std::vector<WarmModel> read_model_list(std::string_view text, Problems& problems);

}  // namespace ropejit::internal
