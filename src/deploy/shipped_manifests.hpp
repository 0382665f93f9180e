// The files of cache/manifests/, embedded when the library was built.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/kernel_source.hpp"

namespace ropejit::internal {

/// {"all.json", text}, models.json among them.
std::span<const TextFile> shipped_manifests();

/// The text of NAME.json; nothing where there is no such file.
std::optional<std::string_view> shipped_manifest(std::string_view name);

/// "all", "llama": those that a person can name, sorted; without models.json, which is what they are made of.
std::vector<std::string> shipped_manifest_names();

}  // namespace ropejit::internal
