// Launches of golden rotations: transformers' inputs through ropejit's kernels, out of place.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "launch/prepared_kernel.hpp"
#include "launch/step_buffers.hpp"
#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "support/direct_launch.hpp"
#include "support/golden_rotation.hpp"
#include "support/targets.hpp"
#include "verify/element.hpp"

namespace ropejit::test {

/// A kernel, and its steps where it reads them from a buffer.
struct GoldenKernel {
  internal::PreparedKernel kernel;
  std::vector<internal::ResolvedSteps> lengths;
};

/// Kernels of one variant each. Steps are read from a buffer, so that cases which differ in numbers alone share a
/// binary.
class Kernels {
 public:
  explicit Kernels(TargetPtr target) : target_(std::move(target)), buffers_(target_) {}

  const internal::Target& target() const { return *target_; }
  GoldenKernel get(const RopeSpec& spec, const LaunchForm& form);

 private:
  TargetPtr target_;
  internal::StepBuffers buffers_;
  std::map<std::string, internal::PreparedVariant> variants_;  // by class
};

/// Whole heads, as they went in and as they came out.
struct Rotated {
  DType dtype = DType::bf16;
  Bits q_in, k_in, q, k;
};

/// The stated rotation and rounding with transformers' own cos and sin as the caller's table, in the form and the
/// dtype in which it has them.
Rotated rotate_with_table(const GoldenRotation& given, Kernels& kernels, DType dtype);

/// `spec` at the case's positions.
Rotated rotate_at_positions(const GoldenRotation& given, Kernels& kernels, const RopeSpec& spec);

/// The rotating lanes of all heads of an operand; checks that the others are the input's.
Bits rotating_lanes(const RopeSpec& spec, const Operand& operand, const Bits& in, const Bits& out);

/// How many rotating elements of q and k have other bits than transformers'.
std::size_t differing(const GoldenRotation& given, const Rotated& ours, const GoldenOutputs& theirs);

}  // namespace ropejit::test
