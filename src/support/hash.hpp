// BLAKE3, the one hash of this library: names of cache entries, classes and plans, checksums of entries.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ropejit::internal {

/// The first `bytes` bytes (1 to 32) of BLAKE3(data) as lower-case hex: 16 bytes give 32 digits. Deterministic on
/// every machine, thread-safe.
std::string blake3_hex(std::string_view data, std::size_t bytes);

}  // namespace ropejit::internal
