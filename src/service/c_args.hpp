// What a caller of the C ABI passes to a launch, whichever version of the struct it was compiled with.
#pragma once

#include "ropejit/ropejit.h"
#include "ropejit/tensor.hpp"

namespace ropejit::internal {

/// Null, or why these arguments cannot be read at all: one line in static storage. Reads args.size bytes, no more.
const char* why_unreadable(const ropejit_args& args) noexcept;

/// The same launch in C++. Members that the caller's struct does not have yet take their defaults; those that only a
/// later version has are left out. The arguments must be readable.
RopeArgs rope_args(const ropejit_args& args) noexcept;

}  // namespace ropejit::internal
