// A model's rotations as JSON, for callers in other languages and for the command line.
#pragma once

#include <string>
#include <string_view>

#include "ropejit/model.hpp"

namespace ropejit::internal {

/// One object, indented:
///   "layers"         one object a layer: "layer", "kind", "spec" (as RopeSpec::to_json has it, or null), and where the
///                    model has indexers "indexer", likewise
///   "vision_layers"  those of a vision tower that is built: "layer", "spec"
///   "warnings"       the lines of ModelRopes::warnings
std::string model_ropes_to_json(const ModelRopes& model);

/// Options from an object with any of the keys "as", "tp", "dtype", "max_model_len", "parity" and "prologue": the
/// members of ModelOptions. Throws Error{parse_error} for another key.
ModelOptions read_model_options(std::string_view json);

}  // namespace ropejit::internal
