#include "cli/copy_trial.hpp"

#include <algorithm>
#include <vector>

#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;

}  // namespace

CopyTrial::CopyTrial(const Target& target, double moved_bytes)
    : target_(target),
      bytes_(static_cast<std::size_t>(moved_bytes / 2)),
      from_(target.allocate(bytes_)),
      to_(target.allocate(bytes_)) {
  // Pages that nobody wrote are all the same one to the host, which would copy from its cache.
  const std::vector<unsigned char> piece(std::min(bytes_, kPiece), 1);
  for (std::size_t at = 0; at < bytes_; at += piece.size()) {
    target.upload(static_cast<unsigned char*>(from_.data()) + at, piece.data(), std::min(piece.size(), bytes_ - at));
  }
}

void CopyTrial::copy(void* stream) const { target_.copy(to_.data(), from_.data(), bytes_, stream); }

std::optional<double> time_copy(const Target& target, double moved_bytes, int repeats) {
  std::optional<CopyTrial> trial;
  try {
    // Asked for beforehand, too: a host gives memory that it does not have, and ends who writes to it.
    if (moved_bytes > static_cast<double>(target.free_bytes())) return std::nullopt;
    trial.emplace(target, moved_bytes);
  } catch (const Error&) {
    return std::nullopt;
  }
  return target.time_us([&] { trial->copy(nullptr); }, repeats);
}

}  // namespace ropejit::internal
