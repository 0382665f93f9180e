// Where damaged entries go: v1/quarantine, so that whoever wonders can look, and nobody reads them again.
#pragma once

#include <string>

#include "store/file/folder.hpp"
#include "store/file/ops.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

/// The newest so many stay.
inline constexpr std::size_t kMaxQuarantined = 16;

/// Moves `name` of the open folder `shard` there, if it is still the file of this status: another process may have
/// replaced it by a good one. False where it stays: the next write replaces it.
bool quarantine(const FileOps& ops, const Trust& trust, const std::string& directory, const Folder& shard,
                const std::string& name, const struct stat& status);

}  // namespace ropejit::internal
