// What a caller of the C ABI passes to a launch, whichever version of the structs it was compiled with.
#pragma once

#include <cstddef>

#include "ropejit/ropejit.h"
#include "ropejit/tensor.hpp"

namespace ropejit::internal {

/// A struct whose first member is its size, as this version knows it. ropejit.h states how such structs grow, and every
/// one of them is read by this rule.
struct GrowingStruct {
  std::size_t first;           ///< its size in the first version: what every caller has
  std::size_t known;           ///< its size in this version
  const char* no_version;      ///< what to say of one shorter than the first version, or that ends within a member,
  const char* too_large;       ///< of one larger than any version will be,
  const char* unknown_member;  ///< and of one in which a member is set that this version does not know
};

/// Null, or which of these keeps the struct at `bytes` from being read, of which a caller says that it has `size`
/// bytes. Reads so many bytes, and no more.
const char* why_unreadable(const void* bytes, std::size_t size, const GrowingStruct& known_as) noexcept;

/// The same launch in C++. Members that the caller's structs do not have yet take their defaults. Returns null, or why
/// these arguments cannot be read: one line in static storage. Of each struct as many bytes are read as its size says.
const char* read_args(const ropejit_args& args, RopeArgs& out) noexcept;

}  // namespace ropejit::internal
