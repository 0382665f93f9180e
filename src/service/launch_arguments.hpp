// From RopeArgs to LaunchParams: strides made explicit, everything checked that can be checked without reading the
// device. Part of the hot path.
#pragma once

#include <cstdint>

#include "launch_params.cuh"
#include "ropejit/error.hpp"
#include "ropejit/tensor.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

struct LaunchArguments {
  LaunchParams params{};     ///< all but tokens_per_slab
  std::uint32_t tokens = 0;  ///< of all sequences; 0: nothing to launch
  /// Largest power of two up to 16 that divides every address a vector access of the form's fast kernels would
  /// start at; 0: the tensors break the form's promise (strides, lanes apart) and only the universal entry serves.
  std::uint32_t vector_bytes = 0;
  std::uint32_t table_vector_bytes = 0;  ///< the same for the rows of the caller's table
};

/// ok, or which field is wrong.
LaunchStatus check_arguments(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept;

}  // namespace ropejit::internal
