// The case at hand, as the options give it: a model's spec (cli/model_case.hpp), a launch form, a number of tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/model_case.hpp"
#include "codegen/variant.hpp"
#include "ropejit/form.hpp"
#include "ropejit/options.hpp"
#include "ropejit/spec.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// Tokens of a page of a cache, where nobody says: vLLM's.
inline constexpr std::int64_t kUsualBlockSize = 16;

struct Case {
  RopeSpec spec;
  LaunchForm form;
  std::int64_t tokens = 0;
  std::int64_t block_size = kUsualBlockSize;  ///< tokens of a page, where k and v go to a cache
  std::optional<KnownRotation> known;         ///< where --model is a name
};

/// --model, --as, --layer, --role, --rotation, --prologue, --tokens, --dtype, --layout, --max-length, --direction,
/// --rounding,
/// --angle, --sine, --out-of-place, --strides, --positions.
std::vector<Flag> case_flags();
Case read_case(const Arguments& arguments);
/// Reads all but --tokens, for commands in which that is something else.
Case read_case_of_any_size(const Arguments& arguments);
/// The case's plan. Throws Error{unsupported} where its scaling depends on a length that nobody gave: a program of one
/// launch has no later moment to learn it.
RotationPlan plan_of(const Case& given);

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
