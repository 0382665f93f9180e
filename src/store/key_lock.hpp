// KeyLock: while one process compiles the binary of a key, others wait for it, for a bounded time.
//
// A lock is a flock on v1/locks/<hh>/<key>.lock. The file is empty and stays; pruning removes those that nobody has
// used for a day. Whoever removes one holds it, and whoever gets one looks whether it is still there, so nobody holds a
// lock that others cannot see. The system frees a lock when its holder ends, however it ends.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "store/file/ops.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

struct KeyLock {
  enum class Outcome {
    held,         ///< until this is destroyed
    timed_out,    ///< another process has it still
    unavailable,  ///< there are no locks here: no directory, a read-only one, a file system without
  };

  Outcome outcome = Outcome::unavailable;
  std::string reason = {};  ///< one line where it is not held
  OpenFile file = {};       ///< closing it frees the lock

  bool held() const { return outcome == Outcome::held; }
};

/// Waits for `bound` at most, by a clock that does not jump; 0 asks once. Polls, as a wait that the system makes could
/// not be bounded. The lock is between processes and between threads.
KeyLock lock_key(const FileOps& ops, const Trust& trust, const std::string& directory, std::string_view key,
                 std::chrono::milliseconds bound);

/// ROPEJIT_LOCK_TIMEOUT_MS, 0 to 86,400,000; 10,000 where it is not set or empty. Throws Error{invalid_argument}.
std::chrono::milliseconds lock_timeout();

}  // namespace ropejit::internal
