// A shared object loaded from bytes: through an anonymous file in memory, so that no writable folder is needed. Where
// /proc is not there to give that file a path, or memory may not be executed, through a private temporary file, which
// is gone when it is loaded.
#pragma once

#include <string>
#include <string_view>

namespace ropejit::internal {

class SharedObject {
 public:
  /// Throws Error{load_failed} with dlopen's words, and whatever else kept both ways from working.
  explicit SharedObject(std::string_view image);
  ~SharedObject();
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  /// Throws Error{load_failed} where the object has no such symbol.
  void* symbol(const std::string& name) const;

 private:
  void* handle_ = nullptr;
};

}  // namespace ropejit::internal
