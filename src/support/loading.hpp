// Loading: while one lives, a library is being loaded or unloaded, and no child is forked.
#pragma once

namespace ropejit::internal {

/// The dynamic linker's lists are not whole while it works, and are not made whole in a child that is forked then: its
/// next dlopen may end the process in an assertion, or never. Nothing that the child does can mend that, so here, and
/// nowhere else in the library, a fork waits: for what the library itself loads, a second at most. Threads take turns,
/// as they do in dlopen. Not to be nested.
class Loading {
 public:
  Loading();
  ~Loading();
  Loading(const Loading&) = delete;
  Loading& operator=(const Loading&) = delete;
};

}  // namespace ropejit::internal
