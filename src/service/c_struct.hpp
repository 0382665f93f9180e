// How structs of the C ABI grow: ropejit.h states the rule, and every struct that begins with its size is read by it.
#pragma once

#include <cstddef>

namespace ropejit::internal {

/// A struct whose first member is its size, as this version knows it.
struct GrowingStruct {
  std::size_t first;  ///< its size in the first version: what every caller has
  std::size_t known;  ///< its size in this version
};

/// What keeps a caller's struct from being read.
enum class StructFault {
  none,
  no_version,      ///< it is shorter than the first version, or ends within a member
  too_large,       ///< it is larger than any version will be
  unknown_member,  ///< a member that this version does not know is set
};

/// Of the struct at `bytes`, of which a caller says that it has `size` bytes. Reads those, and no more.
StructFault fault_of(const void* bytes, std::size_t size, const GrowingStruct& known_as) noexcept;

}  // namespace ropejit::internal
