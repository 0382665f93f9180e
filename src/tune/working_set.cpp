#include "tune/working_set.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ropejit::internal {
namespace {

// What a launch takes, roughly, on a large GPU.
double guessed_us(double moved_bytes) { return 1.5 + moved_bytes / 2.5e6; }

}  // namespace

CacheSizes CacheSizes::of(const Target& target) {
  if (target.arch().starts_with("host")) return {1U << 20, 2U << 20, 4};
  const std::size_t l2 = target.memory().l2_bytes;
  if (l2 == 0) return {};
  // A GPU whose L2 is in two halves (an H100's) may keep data in both: half of it is what one can count on.
  return {l2 * 12 / 25, l2 * 8, 200};
}

WorkingSet WorkingSet::of(std::size_t set_bytes, double moved_bytes, L2 l2, const CacheSizes& sizes, double replay_us) {
  WorkingSet set;
  set.set_bytes = set_bytes;
  set.cold = l2 == L2::cold || (l2 == L2::automatic && set_bytes > sizes.fits);
  set.launches = std::clamp(static_cast<int>(replay_us / guessed_us(moved_bytes)), 2, sizes.launches);
  if (!set.cold) return set;
  const std::size_t wanted = (sizes.beyond + set_bytes - 1) / set_bytes;
  set.sets = std::min(wanted, static_cast<std::size_t>(sizes.launches));
  set.launches = std::max(set.launches, static_cast<int>(set.sets));
  set.flush = set.sets < wanted;
  // Cold from the flush on: a set that came a second time would be in L2.
  if (set.flush) set.launches = static_cast<int>(set.sets);
  return set;
}

DeviceBuffer memory_to_time_on(const Target& target, std::size_t bytes) {
  DeviceBuffer memory = target.allocate(bytes);
  std::vector<std::uint32_t> noise(std::min<std::size_t>((bytes + 3) / 4, 4U << 20));
  std::uint32_t state = 1;
  for (std::uint32_t& word : noise) {
    state = state * 1664525U + 1013904223U;
    word = 0x3f803f80U ^ (state & 0x007f007fU);
  }
  const std::size_t piece = noise.size() * 4;
  for (std::size_t at = 0; at < bytes; at += piece) {
    target.upload_aside(static_cast<char*>(memory.data()) + at, noise.data(), std::min(piece, bytes - at));
  }
  return memory;
}

}  // namespace ropejit::internal
