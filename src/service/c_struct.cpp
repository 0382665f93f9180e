#include "service/c_struct.hpp"

namespace ropejit::internal {
namespace {

// Structs grow by whole words, so no version ends within one.
constexpr std::size_t kWord = 8;
constexpr std::size_t kLargest = 65536;

}  // namespace

StructFault fault_of(const void* bytes, std::size_t size, const GrowingStruct& known_as) noexcept {
  if (size < known_as.first || size % kWord != 0) return StructFault::no_version;
  if (size > kLargest) return StructFault::too_large;
  for (std::size_t i = known_as.known; i < size; ++i) {
    if (static_cast<const unsigned char*>(bytes)[i] != 0) return StructFault::unknown_member;
  }
  return StructFault::none;
}

}  // namespace ropejit::internal
