// What a child of fork does, judged by its parent.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <string>

#include "support/threads_at_rest.hpp"

namespace ropejit::test {

// GCC says by macros what Clang says by features.
#if defined(__has_feature)
#define ROPEJIT_TEST_HAS_FEATURE(feature) __has_feature(feature)
#else
#define ROPEJIT_TEST_HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || ROPEJIT_TEST_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#if defined(__SANITIZE_ADDRESS__) || ROPEJIT_TEST_HAS_FEATURE(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#undef ROPEJIT_TEST_HAS_FEATURE

/// The thread sanitizer ends a child that starts a thread, where its parent had several.
inline constexpr bool kChildMayHaveThreads = !kThreadSanitizer;
/// The address sanitizer's allocator has locks that a thread may hold at a fork, and that before LLVM 17 nothing mends
/// in the child, which then waits for ever. Threads that wait for something else are no danger.
inline constexpr bool kThreadsMayWorkAtFork = kChildMayHaveThreads && !kAddressSanitizer;

/// Forks a child that does `work`, which says whether all is well, and ends without the handlers of exit, which belong
/// to the parent's test program. Empty: all is well; else how the child ended. One that has not ended after so many
/// seconds is ended by a signal.
/// Under the address sanitizer the other threads come to rest first.
template <class Work>
std::string in_child(const Work& work, unsigned limit_s = 120) {
  if (kAddressSanitizer) wait_for_other_threads_to_rest();
  const pid_t child = ::fork();
  if (child < 0) return "cannot fork";
  if (child == 0) {
    ::alarm(limit_s);
    bool well = false;
    try {
      well = work();
    } catch (const std::exception&) {
      ::_exit(2);
    }
    ::_exit(well ? 0 : 1);
  }
  int status = -1;
  if (::waitpid(child, &status, 0) != child) return "cannot wait";
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : "status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace ropejit::test
