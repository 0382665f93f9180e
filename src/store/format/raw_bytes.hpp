// What the binary formats of the store have in common: little-endian numbers, and checksums.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <llvm/ADT/ArrayRef.h>
#include <llvm/Support/BLAKE3.h>
#include <llvm/Support/Endian.h>

namespace ropejit::internal {

template <typename Number>
void append_number(std::string& bytes, Number number) {
  std::array<char, sizeof(Number)> raw;
  llvm::support::endian::write<Number>(raw.data(), number, llvm::endianness::little);
  bytes.append(raw.data(), raw.size());
}

/// The number in sizeof(Number) bytes that are there.
template <typename Number>
Number number_at(std::string_view bytes, std::size_t offset) {
  return llvm::support::endian::read<Number>(bytes.data() + offset, llvm::endianness::little);
}

inline constexpr std::size_t kChecksumBytes = 32;

/// BLAKE3-256, as bytes.
inline std::string checksum_of(std::string_view bytes) {
  const auto hash = llvm::BLAKE3::hash<kChecksumBytes>(
      llvm::ArrayRef<std::uint8_t>(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

}  // namespace ropejit::internal
