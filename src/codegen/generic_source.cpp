#include <fmt/format.h>

#include "codegen/generic.hpp"

namespace ropejit::internal {

KernelSource generic_source() {
  KernelSource source;
  source.entry = kGenericEntry;
  source.params = KernelParams::store;
  // Not const: a compiler may not know what will be written there.
  source.text = fmt::format(
      "#include \"generic.cuh\"\n\n"
      "extern \"C\" {{\n__device__ ropejit::GenericPlan rope_plan = {{\"{}\"}};\n}}\n\n"
      "extern \"C\" __global__ void __launch_bounds__({})\n"
      "{}(const __grid_constant__ ropejit::{} params) {{\n  ropejit::run_generic(params, "
      "rope_plan);\n}}\n",
      kGenericMark, kGenericThreads, kGenericEntry, struct_of(source.params));
  return source;
}

}  // namespace ropejit::internal
