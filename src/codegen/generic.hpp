// The generic kernel (templates/generic.cuh): one binary an architecture, built into the library, that serves any plan
// once the plan is written into it. It is for machines that can neither find nor compile a binary of the plan's own.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "codegen/kernel_source.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

inline constexpr const char* kGenericEntry = "rope_generic";
/// What GenericPlan::mark holds, with a NUL behind it: it stands once in every image.
inline constexpr std::string_view kGenericMark = "ropejit generic plan, version 1";
inline constexpr std::uint32_t kGenericThreads = 128;  ///< threads of a block, which takes one token of one operand

/// A compiled generic kernel without a plan.
struct GenericImage {
  std::string_view arch;  ///< "sm_80", "host-x86_64"
  std::string_view bytes;
  std::size_t plan_at = 0;  ///< where in the bytes GenericPlan is
};

/// The images that the build made (src/builder). There may be none.
std::span<const GenericImage> generic_images();

/// The image that a device of `arch` runs: its own, or the newest of the same major version that is older. Null: none.
const GenericImage* generic_image_for(std::string_view arch);

/// The image with the plan written into it. Where the plan needs a length, steps and scale are those of the launch.
std::string generic_binary(const GenericImage& image, const RotationPlan& plan);

/// The source that images are compiled from.
KernelSource generic_source();

}  // namespace ropejit::internal
