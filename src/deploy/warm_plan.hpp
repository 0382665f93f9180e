// From a manifest, or from what a service was asked for, to plans: each once.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/variant.hpp"
#include "deploy/problems.hpp"
#include "deploy/warm_manifest.hpp"
#include "spec/plan.hpp"
#include "tune/record.hpp"

namespace ropejit::internal {

/// A variant that somebody asked for by name.
struct AskedVariant {
  std::string arch;
  Variant variant;
};

struct WarmPlan {
  RopeSpec spec;  ///< the spec of the first that asked; the form likewise
  LaunchForm form;
  RotationPlan plan;
  std::string what;  ///< for people, the first that asked: "meta-llama/Llama-2-7b-hf bf16 tp 2 in_place free ids64"
  std::vector<AskedVariant> asked = {};  ///< beside those that devices and records ask for; legal ones
};

struct WarmPlans {
  std::vector<WarmPlan> plans;  ///< in the order in which they were first asked for
  std::size_t asked = 0;        ///< before equal ones became one
  /// Rotations that no degree of tensor parallelism divides, and which are therefore not among the plans, a line each.
  std::vector<std::string> left_out = {};
};

/// Every model's every rotation in every dtype, layout, form and degree of tensor parallelism. A degree that does not
/// divide the query heads, or neither divides the key heads nor is a multiple of them, is left out for that rotation;
/// where it is a multiple each rank has one key head; a rotation of which no degree is left is told of (left_out). What
/// does not lower goes to `problems`.
WarmPlans expand(const WarmManifest& manifest, Problems& problems);

/// The spec with the heads of one rank; nothing where the degree does not fit.
std::optional<RopeSpec> sharded(const WarmRope& rope, std::int64_t degree);

/// What ROPEJIT_RECORD wrote: a JSON object in each line, {"schema":1,"spec":{...},"form":{...},"arch":"sm_90",
/// "device":"sm_90/132/...","variants":["flat_v16_h8_t128",...]}: for these variants, and those that the device asks
/// for by the records that are here. "variants" may be missing.
struct Recorded {
  WarmPlans plans;
  std::vector<std::string> archs;  ///< each once, in the order of the lines
  std::vector<DeviceKey> devices;  ///< likewise
};
Recorded read_recorded(std::string_view text, Problems& problems);

}  // namespace ropejit::internal
