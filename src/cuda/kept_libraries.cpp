#include "cuda/kept_libraries.hpp"

#include "support/hash.hpp"
#include "support/made_once.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kDigestBytes = 32;

}  // namespace

std::optional<LoadedLibrary> KeptLibraries::find(const std::string& key) const {
  return kept_.with([&](const std::map<std::string, LoadedLibrary>& kept) -> std::optional<LoadedLibrary> {
    const auto at = kept.find(key);
    if (at == kept.end()) return std::nullopt;
    return at->second;
  });
}

void KeptLibraries::keep(const std::string& key, LoadedLibrary loaded) const noexcept {
  try {
    // Where the same was loaded twice at a time and launched, one of them stays to no use.
    kept_.with([&](std::map<std::string, LoadedLibrary>& kept) { kept.insert_or_assign(key, loaded); });
  } catch (...) {
    // Without memory to remember it by, it stays all the same.
  }
}

std::string library_key(std::string_view image, std::string_view entry) {
  return blake3_hex(image, kDigestBytes) + ' ' + std::string(entry);
}

const KeptLibraries& kept_libraries() {
  static constinit MadeOnce<KeptLibraries> all;
  return all.get([] { return KeptLibraries(); });
}

}  // namespace ropejit::internal
