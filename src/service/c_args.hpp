// What a caller of the C ABI passes to a launch, whichever version of the structs it was compiled with.
#pragma once

#include "ropejit/ropejit.h"
#include "ropejit/tensor.hpp"

namespace ropejit::internal {

/// The same launch in C++. Members that the caller's structs do not have yet take their defaults. Returns null, or why
/// these arguments cannot be read: one line in static storage. Of each struct as many bytes are read as its size says.
const char* read_args(const ropejit_args& args, RopeArgs& out) noexcept;

}  // namespace ropejit::internal
