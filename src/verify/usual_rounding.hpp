// The arithmetic that a program starts with, for the oracle: it shares nothing with the library, so it has its own.
#pragma once

#include <cfenv>

namespace ropejit::internal {

/// While it lives, this thread has the usual arithmetic; then its own again.
class UsualRounding {
 public:
  UsualRounding() {
    std::fegetenv(&callers_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~UsualRounding() { std::fesetenv(&callers_); }
  UsualRounding(const UsualRounding&) = delete;
  UsualRounding& operator=(const UsualRounding&) = delete;

 private:
  std::fenv_t callers_{};
};

}  // namespace ropejit::internal
