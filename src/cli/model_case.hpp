// One rotation of a model, or all of a config's: what --as, --layer, --role and --rotation say of a model that was
// found (cli/model_source.hpp).
#pragma once

#include <llvm/Support/JSON.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/model_source.hpp"
#include "ropejit/model.hpp"
#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// What in a model is meant.
struct ModelPart {
  ModelOptions options;                  ///< with --as and --prologue
  std::optional<std::int64_t> layer;     ///< --layer, of a config.json
  std::optional<RopeRole> role;          ///< --role, of a config.json
  std::optional<std::int64_t> rotation;  ///< --rotation, of a known model
};

/// --as, and what it says.
Flag as_flag();
ModelOptions read_model_options(const Arguments& arguments);

/// --as, --layer, --role, --rotation and --prologue, and what they say.
std::vector<Flag> layer_flags();
ModelPart read_model_part(const Arguments& arguments);

/// Throws Error{invalid_argument} for an option that none of the models has a use for: --as is for a config.json,
/// --layer and --role are not for known models, --rotation is for these alone, and is 0 where all have one rotation.
/// `diff` has two models, and each takes what is for it.
void expect_part_of(std::initializer_list<const ModelSource*> sources, const ModelPart& part);

/// Which known model was taken, for reports.
struct KnownRotation {
  std::string model;                    ///< its whole name
  std::optional<std::size_t> rotation;  ///< as --rotation counts; nothing where it has one
};

/// What a model says of one rotation.
struct ModelCase {
  RopeSpec spec;                        ///< of a known model in bf16
  std::optional<std::int64_t> context;  ///< tokens: a config's max_position_embeddings
  std::optional<KnownRotation> known;
};

/// The spec, or a config.json's one rotation, or that of a layer and role, or a known model's. Errors in a text name
/// the file. Throws Error{invalid_argument} with a list of its rotations where a known model has several and none or no
/// such one is chosen. What a config.json warns of is printed here, so by every command that reads one.
ModelCase read_model_case(const ModelSource& source, const ModelPart& part);

/// The rotations of all layers of --model, which must be a config.json; prints what it warns of.
ModelRopes read_layers(const Arguments& arguments);

/// Says on stderr which known model was taken for `what`: a person may have written the end of its name alone.
void print_taken(std::string_view what, const KnownRotation& known);

/// The same in a report: the attributes `model` and, where it has several, `rotation`, with `suffix` behind both; none
/// without a known model.
void attribute_known(llvm::json::OStream& json, const std::optional<KnownRotation>& known,
                     std::string_view suffix = {});

}  // namespace ropejit::internal
