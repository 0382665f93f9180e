// Models as manifests name them: a name, a family, and each rotation of theirs once, without a dtype; and the
// manifests that are shipped.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/kernel_source.hpp"
#include "deploy/problems.hpp"
#include "ropejit/model.hpp"
#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// The files of cache/manifests/, embedded when the library was built: {"all.json", text}, models.json among them.
std::span<const TextFile> shipped_manifests();

/// The text of NAME.json; nothing where there is no such file.
std::optional<std::string_view> shipped_manifest(std::string_view name);

/// "all", "llama": those that a person can name, sorted; without models.json, which is what they are made of.
std::vector<std::string> shipped_manifest_names();

struct WarmRope {
  RopeSpec spec;            ///< its dtype is of no meaning
  bool replicated = false;  ///< every rank of tensor parallelism has all heads: an indexer's
  /// Of layers that may lack k and v, or do not rotate (ModelOptions::prologue).
  bool of_prologue = false;
};

struct WarmModel {
  std::string name;
  std::string family;  ///< "llama"; may be empty
  std::vector<WarmRope> ropes;
  std::vector<std::string> warnings;  ///< what reading its config warned of: ModelRopes::warnings
};

/// The object that `text` is (support/json.hpp); equal keys in one object are problems.
llvm::json::Object parse_json_object(std::string_view text, Problems& problems);

/// A model as a manifest, or the shipped list, has it; the grammar is in cache/manifests/README.md. What is wrong goes
/// to `problems`, with `where` before it; the model may then lack rotations.
WarmModel read_warm_model(const llvm::json::Object& object, const std::string& where, Problems& problems);

/// Every rotation of a model: its layers', its indexers' and its vision tower's. A tower that this version does not
/// build is left out. `prologues`: the layers' are of ModelOptions::prologue, and no other is there.
std::vector<WarmRope> warm_ropes_of(const ModelRopes& model, bool prologues = false);

/// The models of cache/manifests/models.json, embedded when the library was built, in the file's order. Names are
/// unique.
const std::vector<WarmModel>& shipped_models();

/// The models of any text of the grammar of models.json.
std::vector<WarmModel> read_model_list(std::string_view text, Problems& problems);

}  // namespace ropejit::internal
