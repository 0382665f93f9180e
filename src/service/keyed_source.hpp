// KeyedSource: a plan's generated source in one variant, and the key of the binary that a target makes of it. Whoever
// makes binaries, a service on its device or a build machine without one, goes by this one path: so what one stores,
// the other finds.
#pragma once

#include <string>

#include "codegen/kernel_source.hpp"
#include "codegen/variant.hpp"
#include "spec/plan.hpp"
#include "store/entry.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

/// The text whose hash names a binary: complete by construction, as it holds hashes of the generated text and of the
/// templates beside the compiler's options. A variant whose steps are in a buffer is of its class, whatever the plan.
std::string key_preimage(const RotationPlan& plan, const Variant& variant, const std::string& generated_text,
                         const BuildTarget& target);

struct KeyedSource {
  KeyedSource(const RotationPlan& plan, const Variant& of, const BuildTarget& target);

  /// What a store keeps of the binary.
  Entry entry(const CompiledBinary& compiled) const;

  Variant variant;
  std::string arch;
  KernelSource source;
  std::string preimage;
};

}  // namespace ropejit::internal
