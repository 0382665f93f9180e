// Code that was launched stays loaded: a captured graph may hold it. It serves whoever loads the same image again, so
// that a kernel which is forgotten and asked for anew, and anew, is in memory once.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "cuda/driver_api.hpp"
#include "support/per_process.hpp"

namespace ropejit::internal {

struct LoadedLibrary {
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
};

/// Thread-safe.
class KeptLibraries {
 public:
  std::optional<LoadedLibrary> find(const std::string& key) const;
  /// Takes over what was launched, when its last owner is gone.
  void keep(const std::string& key, LoadedLibrary loaded) const noexcept;

 private:
  PerProcess<std::map<std::string, LoadedLibrary>> kept_;
};

/// The key of an image and the entry in it.
std::string library_key(std::string_view image, std::string_view entry);

/// The libraries of the process; never destroyed.
const KeptLibraries& kept_libraries();

}  // namespace ropejit::internal
