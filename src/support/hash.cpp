#include "support/hash.hpp"

#include <llvm/Support/BLAKE3.h>

#include <algorithm>
#include <cstdint>

namespace ropejit::internal {

std::string blake3_hex(std::string_view data, std::size_t bytes) {
  llvm::BLAKE3 hasher;
  hasher.update(llvm::StringRef(data.data(), data.size()));
  const llvm::BLAKE3Result<32> digest = hasher.final<32>();
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes);
  for (std::size_t i = 0; i < std::min(bytes, digest.size()); ++i) {
    const std::uint8_t byte = digest[i];
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

}  // namespace ropejit::internal
