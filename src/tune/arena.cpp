#include "tune/arena.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ropejit::internal {

char* Arena::take(std::size_t bytes) {
  if (bytes > bytes_) {
    bytes_ = 0;
    memory_ = {};  // both would not fit
    memory_ = target_.allocate(bytes);
    bytes_ = bytes;
    std::vector<std::uint32_t> noise(std::min<std::size_t>((bytes + 3) / 4, 4U << 20));
    std::uint32_t state = 1;
    for (std::uint32_t& word : noise) {
      state = state * 1664525U + 1013904223U;
      word = 0x3f803f80U ^ (state & 0x007f007fU);
    }
    auto* data = static_cast<char*>(memory_.data());
    const std::size_t piece = noise.size() * 4;
    for (std::size_t at = 0; at < bytes; at += piece) {
      target_.upload_aside(data + at, noise.data(), std::min(piece, bytes - at));
    }
  }
  return static_cast<char*>(memory_.data());
}

}  // namespace ropejit::internal
