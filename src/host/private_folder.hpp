// A folder of this user's alone for files that others must open by a name: the compiler and the dynamic linker.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ropejit/error.hpp"

namespace ropejit::internal {

/// Under the system's temporary folder (TMPDIR), mode 0700, gone with the object and all that is in it. To make and
/// remove it takes no file descriptor.
class PrivateFolder {
 public:
  /// `stage` is a literal. Throws Error of that code and stage where none can be made.
  PrivateFolder(ErrorCode code, const char* stage);
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  const std::string& path() const { return path_; }
  /// The path of a file in it, whether or not there is one yet.
  std::string file(std::string_view name);
  /// Writes a file of mode 0600 that is not there yet; its path. Throws as the constructor does.
  std::string write(std::string_view name, std::string_view bytes);
  /// All of a file in it. Throws as the constructor does.
  std::string read(std::string_view name);

 private:
  [[noreturn]] void fail(const char* what, const std::string& path, int error) const;

  const ErrorCode code_;
  const char* const stage_;
  std::string path_;
  std::vector<std::string> files_;
};

}  // namespace ropejit::internal
