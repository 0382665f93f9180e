#include "support/hash.hpp"

#include <llvm/ADT/ArrayRef.h>
#include <llvm/ADT/StringExtras.h>
#include <llvm/Support/BLAKE3.h>

#include <cstdint>

namespace ropejit::internal {

std::string blake3_hex(std::string_view data, std::size_t bytes) {
  const llvm::BLAKE3Result<32> digest =
      llvm::BLAKE3::hash(llvm::ArrayRef<std::uint8_t>(reinterpret_cast<const std::uint8_t*>(data.data()), data.size()));
  return llvm::toHex(llvm::ArrayRef<std::uint8_t>(digest).take_front(bytes), /*LowerCase=*/true);
}

}  // namespace ropejit::internal
