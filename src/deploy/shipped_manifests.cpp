#include "deploy/shipped_manifests.hpp"

#include <algorithm>

namespace ropejit::internal {
namespace {

constexpr std::string_view kSuffix = ".json";
constexpr std::string_view kModels = "models.json";

}  // namespace

std::optional<std::string_view> shipped_manifest(std::string_view name) {
  for (const TextFile& file : shipped_manifests()) {
    if (file.name.size() == name.size() + kSuffix.size() && file.name.starts_with(name)) return file.text;
  }
  return std::nullopt;
}

std::vector<std::string> shipped_manifest_names() {
  std::vector<std::string> names;
  for (const TextFile& file : shipped_manifests()) {
    if (file.name != kModels) names.emplace_back(file.name.substr(0, file.name.size() - kSuffix.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace ropejit::internal
