// Faults in the system calls of a whole process's stores: what the library takes for the real calls is counted here,
// and the n-th fails. By the linker (--wrap, see CMakeLists.txt), so that a service meets it as it would meet a broken
// disk.
#pragma once

#include <string>

namespace ropejit::test {

struct Fault {
  int at = -1;                 ///< number of the call that fails, from 0 on; negative: none does
  int error = 0;               ///< its errno
  bool keeps_failing = false;  ///< all after it fail, too
};

/// From now on, counting from 0 again. Not while a store is at work. fsync does nothing after it.
void arm(const Fault& fault);

/// Name of the first call that failed since then; empty: it was not reached.
std::string failed_call();

}  // namespace ropejit::test
