// The case at hand, as the options give it: a model's spec, a launch form, a number of tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.hpp"
#include "codegen/variant.hpp"
#include "ropejit/form.hpp"
#include "ropejit/model.hpp"
#include "ropejit/options.hpp"
#include "ropejit/spec.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

struct Case {
  RopeSpec spec;
  LaunchForm form;
  std::int64_t tokens = 0;
};

/// What a model file says of one rotation.
struct ModelCase {
  RopeSpec spec;
  std::optional<std::int64_t> context;  ///< tokens: a config's max_position_embeddings
};

/// The spec of a file, or of a config.json's one rotation, or of that of --layer and --role. `what` names the file in
/// messages. What a config.json warns of is printed here, so by every command that reads one.
ModelCase read_model_case(std::string_view what, const std::string& path, const Arguments& arguments);

/// --as, and what it says.
Flag as_flag();
ModelOptions read_model_options(const Arguments& arguments);

/// --as, --layer and --role.
std::vector<Flag> layer_flags();
std::optional<std::int64_t> read_layer(const Arguments& arguments);
RopeRole read_role(const Arguments& arguments);

/// --model, --as, --layer, --role, --tokens, --dtype, --layout, --max-length, --direction, --rounding, --angle, --sine,
/// --out-of-place, --strides, --positions.
std::vector<Flag> case_flags();
Case read_case(const Arguments& arguments);
/// Reads all but --tokens, for commands in which that is something else.
Case read_case_of_any_size(const Arguments& arguments);
/// The case's plan. Throws Error{unsupported} where its scaling depends on a length that nobody gave: a program of one
/// launch has no later moment to learn it.
RotationPlan plan_of(const Case& given);
/// The rotations of all layers of --model; prints what its config.json warns of.
ModelRopes read_layers(const Arguments& arguments);

/// --variant, for the commands that stop before a launch.
Flag variant_flag();
/// What serves `tokens` by default, on a device of kAssumedMultiprocessors.
Variant default_variant_for(const KernelClass& kernel_class, std::int64_t tokens);
/// The variant that was named, which must be legal for the class, else what serves `tokens` by default.
Variant read_variant(const Arguments& arguments, const KernelClass& kernel_class, std::int64_t tokens);

/// --device and --cache-dir, and warnings on stderr.
std::vector<Flag> service_flags();
ServiceOptions read_options(const Arguments& arguments);

/// The multiprocessors that variants are chosen for where no device is asked: an H100's.
inline constexpr std::uint32_t kAssumedMultiprocessors = 132;

}  // namespace ropejit::internal
