// Device headers read from a folder, in place of those embedded in the library: for people who work on templates
// without building the library anew.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codegen/kernel_source.hpp"

namespace ropejit::internal {

/// The folder that stands in for the embedded headers; empty: none does. The environment is read at the first call.
const std::string& templates_folder();

/// The headers that the library's own code is compiled with, too: a folder may not have others.
std::span<const std::string_view> shared_templates();

/// The *.cuh files of one folder, sorted by name; those whose names begin with a dot are an editor's. Immutable.
class TemplateFolder {
 public:
  /// Throws Error{invalid_argument}, which names the file, what was found and what is allowed, where one of `embedded`
  /// is not there, one of shared_templates has another text than there, or a file is not a text of at most 1 MiB.
  TemplateFolder(const std::string& folder, std::span<const TextFile> embedded);
  TemplateFolder(const TemplateFolder&) = delete;
  TemplateFolder& operator=(const TemplateFolder&) = delete;

  std::span<const TextFile> files() const { return files_; }

 private:
  std::vector<std::pair<std::string, std::string>> texts_;  ///< by name: what files_ looks at
  std::vector<TextFile> files_;
};

}  // namespace ropejit::internal
