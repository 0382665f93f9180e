// The CPU as a target: the generated source, unchanged, through the system's C++ compiler and a shim. For tests,
// dry runs and machines without a GPU; not for speed. Launches run at once, in the calling thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "target/target.hpp"

namespace ropejit::internal {

/// Needs a compiler only when something must be compiled. `compiler`: ServiceOptions::host_compiler.
std::shared_ptr<const Target> host_target(const std::optional<std::string>& compiler);

}  // namespace ropejit::internal
