// What ptxas -v says of a kernel, read from a compile log.
#pragma once

#include <string_view>

namespace ropejit::internal {

/// Where a number is -1, the log does not say it.
struct PtxasReport {
  int registers = -1;    ///< of a thread
  int spill_bytes = -1;  ///< stores and loads
  int stack_bytes = -1;  ///< local memory of a thread
};

/// Reads what is said of the first kernel in the log. A log of another form gives -1s, never an error.
PtxasReport read_ptxas_report(std::string_view log);

}  // namespace ropejit::internal
