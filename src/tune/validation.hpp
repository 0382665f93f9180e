// The last word on a variant that won: it must give the bits of the universal entry and write nowhere else.
#pragma once

#include <cstdint>
#include <string>

#include "launch/prepared_kernel.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

/// Launches `kernel` and `reference` on the same made-up tensors with guard zones around each, in memory of their own,
/// and compares every byte. Empty where all is right, else what is wrong in one line. Large launches are checked at as
/// many tokens as fit in 16 MiB. Both kernels are RecordedKernels of one class, and have numbers to turn by. Throws
/// Error where the device refuses.
std::string why_wrong(const Target& target, const PreparedKernel& kernel, const PreparedKernel& reference,
                      std::int64_t tokens);

}  // namespace ropejit::internal
