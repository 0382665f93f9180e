// The oracle's arithmetic: rounded to nearest, nothing flushed to zero, whatever the calling thread has set.
#pragma once

#include <cfenv>

namespace ropejit::internal {

/// While it lives, this thread has the arithmetic that a program starts with; then its own again. The oracle shares
/// nothing with the library, so it has its own.
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
