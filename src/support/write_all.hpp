// Writes bytes to a descriptor, all of them.
#pragma once

#include <string_view>

namespace ropejit::internal {

/// Writes whatever the system takes at a time, until all is written. Returns 0 or errno.
int write_all(int descriptor, std::string_view bytes) noexcept;

}  // namespace ropejit::internal
