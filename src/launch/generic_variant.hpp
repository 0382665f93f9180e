// The generic kernel as an entry of a prepared kernel: slower than any other, and there without a compiler or a cache.
#pragma once

#include <optional>

#include "launch/prepared_kernel.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

/// The generic kernel that is built into the library, with the plan written into it; nothing where none was built in
/// for the target's architecture. Throws Error{load_failed}.
std::optional<PreparedVariant> generic_variant(const Target& target, const RotationPlan& plan);

}  // namespace ropejit::internal
