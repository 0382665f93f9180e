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

/// While one lives, a library is being loaded or unloaded, and no child is forked. The dynamic linker's lists are not
/// whole while it works, and are not made whole in a child that is forked then: its next dlopen may end the process in
/// an assertion, or never. Nothing that the child does can mend that, so here, and nowhere else in the library, a fork
/// waits: for what the library itself loads, a second at most. Threads take turns, as they do in dlopen. Not to be
/// nested.
class Loading {
 public:
  Loading();
  ~Loading();
  Loading(const Loading&) = delete;
  Loading& operator=(const Loading&) = delete;
};

/// Whether dlopen's words say that a library may be there, and file descriptors to open it are missing.
bool lacks_descriptors(const std::string& problem);

}  // namespace ropejit::internal
