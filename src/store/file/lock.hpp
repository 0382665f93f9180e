// Waits for the lock of an open file, for a bounded time.
#pragma once

#include <chrono>

#include "store/file/ops.hpp"

namespace ropejit::internal {

/// Takes FileOps::lock, asking again while somebody else has it, until `deadline`: by a clock that does not jump, and
/// at least once. Polls, as a wait that the system makes could not be bounded; pauses grow to `longest_pause`. False
/// with errno: EWOULDBLOCK where somebody has it still, else why there are no locks here.
bool lock_until(const FileOps& ops, int file, std::chrono::steady_clock::time_point deadline,
                std::chrono::milliseconds longest_pause);

}  // namespace ropejit::internal
