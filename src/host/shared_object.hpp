// A shared object loaded from bytes: through an anonymous file in memory, so that no writable directory is needed.
#pragma once

#include <string>
#include <string_view>

namespace ropejit::internal {

class SharedObject {
 public:
  /// Throws Error{load_failed} with dlopen's words.
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
