#include <cstdlib>
#include <string_view>

#include "store/store.hpp"

namespace ropejit::internal {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

std::string cache_directory(const std::optional<std::string>& option) {
  if (option) return *option;
  // An empty variable counts as unset, as XDG says of its own.
  if (const std::string_view set = environment("ROPEJIT_CACHE_DIR"); !set.empty()) return std::string(set);
  if (const std::string_view xdg = environment("XDG_CACHE_HOME"); xdg.starts_with('/')) {
    return std::string(xdg) + "/ropejit";
  }
  if (const std::string_view home = environment("HOME"); home.starts_with('/')) {
    return std::string(home) + "/.cache/ropejit";
  }
  return {};
}

}  // namespace ropejit::internal
