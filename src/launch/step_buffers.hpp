// The numbers of length-dependent rules, resolved and on the device: for kernels that read their steps from a buffer.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "spec/plan.hpp"
#include "support/per_process.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

inline constexpr std::int64_t kAnyLength = std::numeric_limits<std::int64_t>::max();

/// The numbers that serve sequences of up to `up_to` tokens.
struct ResolvedSteps {
  std::int64_t up_to = kAnyLength;
  DeviceConstant steps;  ///< one a pair
  float scale = 1;
};

/// Makes each buffer once in each context, and gives the current context's. Buffers go with the object and what of()
/// gave. Thread-safe; a child of fork makes its own.
class StepBuffers {
 public:
  explicit StepBuffers(std::shared_ptr<const Target> target) : target_(std::move(target)) {}

  /// The steps and scale of a plan that has its steps, on the device. Throws Error.
  ResolvedSteps of(const RotationPlan& plan, std::int64_t up_to = kAnyLength);

  /// To be called where a kernel that read them was launched: see DeviceConstant::launched.
  void set_launched();

 private:
  using Made = std::map<std::pair<std::uint64_t, std::vector<std::uint64_t>>, DeviceConstant>;  // by context and steps

  const std::shared_ptr<const Target> target_;
  PerProcess<Made> made_;
};

/// What a launch whose positions count from a start can choose from by its own length: both of longrope's; dynamic's
/// up to the length that the model was trained for. Nothing for other forms.
std::vector<ResolvedSteps> steps_by_length(const RopeSpec& spec, const LaunchForm& form, StepBuffers& buffers);

}  // namespace ropejit::internal
