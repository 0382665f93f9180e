// The case at hand, as the options give it: a model's spec, a launch form, a number of tokens.
#pragma once

#include <cstdint>
#include <optional>
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

/// --model, --layer, --tokens, --dtype, --layout, --max-length, --direction, --rounding, --angle, --sine,
/// --out-of-place, --strides, --positions.
std::vector<Flag> case_flags();
Case read_case(const Arguments& arguments);
/// The case's plan. Throws Error{unsupported} where its scaling depends on a length that nobody gave: a program of one
/// launch has no later moment to learn it.
RotationPlan plan_of(const Case& given);
/// All layers of --model.
ModelRopes read_layers(const Arguments& arguments);

/// --variant, for the commands that stop before a launch.
Flag variant_flag();
/// The one named, if it is legal for the class, else the one that serves `tokens` by default.
Variant read_variant(const Arguments& arguments, const KernelClass& kernel_class, std::int64_t tokens);

/// --device and --cache-dir, and warnings on stderr.
std::vector<Flag> service_flags();
ServiceOptions read_options(const Arguments& arguments);

/// What variants are chosen for where no device is asked: an H100's.
inline constexpr std::uint32_t kAssumedMultiprocessors = 132;

}  // namespace ropejit::internal
