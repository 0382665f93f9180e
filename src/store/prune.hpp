// Pruning: keeps a cache directory within its limits. Looks at names, sizes and stamps alone and opens no entry, so it
// takes as long for large entries as for small ones.
//
// A reader that has an entry open keeps what it opened; one that comes later misses and compiles. Many processes may
// share the directory: one prunes at a time, by a lock that is never waited for.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "store/file/ops.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

struct Limits {
  std::uint64_t max_bytes = std::uint64_t{1}
                            << 30;  ///< what all entries may take; beyond it the least recently used go
  std::optional<std::chrono::seconds> max_age = {};  ///< since the last use; nothing: entries do not grow old
  std::chrono::seconds spared{600};                  ///< entries written or stamped within this time stay
  std::chrono::seconds interval{600};                ///< between prunings that nobody asked for
};

struct Pruned {
  bool done = false;        ///< false: there was nothing to look at, another process is at it, or it failed
  std::size_t entries = 0;  ///< removed
  std::uint64_t bytes = 0;  ///< removed
  std::size_t kept = 0;     ///< entries that are left
  std::uint64_t kept_bytes = 0;
  std::size_t leftovers = 0;  ///< temporary files of processes that were killed, removed
  std::size_t locks = 0;      ///< lock files that nobody used for a day, removed
  std::string problem;        ///< one line; empty also where another process is at it
};

/// What a pruning does: `when_due` looks first whether the last one is `interval` ago, `now` does not.
/// `everything` removes all entries, what is in quarantine and every lock file that nobody has; records stay.
enum class Pruning { when_due, now, everything };

/// Prunes DIRECTORY. What cannot be removed stays and is counted as kept. A sealed directory is left alone.
Pruned prune(const FileOps& ops, const Trust& trust, const std::string& directory, const Limits& limits,
             Pruning pruning);

/// Temporary files older than this were left behind.
inline constexpr std::chrono::seconds kLeftoverAge{3600};
/// Lock files older than this are removed, unless somebody has them.
inline constexpr std::chrono::seconds kLockFileAge{24 * 3600};

}  // namespace ropejit::internal
