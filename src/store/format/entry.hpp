// The bytes of an entry file; the grammar is cache/FORMAT.md. Pure: no file is touched here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "store/entry.hpp"

namespace ropejit::internal {

inline constexpr std::uint32_t kEntryFormatVersion = 1;
inline constexpr std::uint64_t kMaxMetadataBytes = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kMaxPayloadBytes = std::uint64_t{1} << 28;
inline constexpr std::uint64_t kEntryHeaderBytes = 24;
inline constexpr std::uint64_t kEntryTrailerBytes = 32;
inline constexpr std::uint64_t kMaxEntryBytes =
    kEntryHeaderBytes + kMaxMetadataBytes + kMaxPayloadBytes + kEntryTrailerBytes;

struct EncodedEntry {
  std::string bytes;
  std::string problem;  ///< one line where the entry breaks a limit; bytes is empty then
};
EncodedEntry encode_entry(const Entry& entry);

/// Verifies everything that the bytes say about themselves: an entry comes back whole or as a Miss.
ReadResult decode_entry(std::string_view bytes);

}  // namespace ropejit::internal
