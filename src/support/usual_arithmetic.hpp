// Floating-point arithmetic as C++ code expects it, whatever the calling thread has set.
#pragma once

#include <cfenv>

namespace ropejit::internal {

/// While it lives, this thread rounds to nearest, keeps numbers below the normal range (no flush to zero, none taken
/// for zero) and traps nothing. Then the thread has again what it had: rounding, flushing, traps and flags. Whatever
/// works out, reads, prints or compares numbers does it under one of these: the same bits come out in every process.
/// Threads that are started meanwhile begin with this arithmetic and keep it. Costs some 50 ns: not for launches on a
/// GPU, which compute nothing on the host.
class UsualArithmetic {
 public:
  UsualArithmetic() noexcept {
    std::fegetenv(&callers_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~UsualArithmetic() { std::fesetenv(&callers_); }
  UsualArithmetic(const UsualArithmetic&) = delete;
  UsualArithmetic& operator=(const UsualArithmetic&) = delete;

 private:
  std::fenv_t callers_{};
};

}  // namespace ropejit::internal
