// Architectures that binaries are made for, by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ropejit::internal {

/// Every architecture that this version is meant for, ascending: "sm_75", ... Which of them a compiler knows is its
/// matter.
std::vector<std::string> build_archs();

/// "9.0", "90" and "sm_90" are "sm_90"; "host" is the host target's ("host-x86_64"), as is that name. Nothing for any
/// other text, and for sm_90a and the like: no service looks for their binaries.
std::optional<std::string> arch_named(std::string_view text);

/// What arch_named takes, for messages.
std::string allowed_archs();

}  // namespace ropejit::internal
