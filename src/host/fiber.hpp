// A stackful coroutine on its own stack, switched to and from within one system thread (ucontext, with the
// annotations that AddressSanitizer and ThreadSanitizer need to follow it).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace ropejit::internal {

class Fiber {
 public:
  /// `body` starts at the first resume. Throws std::bad_alloc where no stack can be had. `body` must not throw.
  explicit Fiber(std::function<void()> body);
  /// Destroying a suspended fiber frees its stack without unwinding it.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs the fiber until it suspends or its body returns. Not to be called from inside a fiber.
  void resume();
  /// Called from inside the body: goes back to resume's caller.
  void suspend();
  bool finished() const { return finished_; }

 private:
  struct Context;
  static void enter(unsigned high, unsigned low);

  std::function<void()> body_;
  std::unique_ptr<Context> context_;
  bool finished_ = false;
};

}  // namespace ropejit::internal
