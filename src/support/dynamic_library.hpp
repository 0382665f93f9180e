// A shared library found at run time. Owns the handle.
#pragma once

#include <string>

namespace ropejit::internal {

class DynamicLibrary {
 public:
  DynamicLibrary() = default;
  ~DynamicLibrary();
  DynamicLibrary(DynamicLibrary&& other) noexcept;
  DynamicLibrary& operator=(DynamicLibrary&& other) noexcept;

  /// Empty where it cannot be loaded; `problem` then has dlopen's words.
  static DynamicLibrary open(const std::string& name, std::string& problem);

  /// Null where there is no such symbol.
  void* symbol(const char* name) const;
  explicit operator bool() const { return handle_ != nullptr; }
  /// The file that was loaded, as the dynamic linker knows it.
  std::string path() const;

 private:
  explicit DynamicLibrary(void* handle) : handle_(handle) {}
  void* handle_ = nullptr;
};

/// Whether dlopen's words say that a library may be there, and file descriptors to open it are missing.
bool lacks_descriptors(const std::string& problem);

}  // namespace ropejit::internal
