#include "support/dynamic_library.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "support/loading.hpp"

namespace ropejit::internal {

DynamicLibrary::~DynamicLibrary() {
  if (handle_ == nullptr) return;
  const Loading loading;
  dlclose(handle_);
}

DynamicLibrary::DynamicLibrary(DynamicLibrary&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

DynamicLibrary& DynamicLibrary::operator=(DynamicLibrary&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

DynamicLibrary DynamicLibrary::open(const std::string& name, std::string& problem) {
  // Stays mapped after the last close: NVRTC leaks 70 KB each time it is unloaded.
  const Loading loading;
  void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const char* text = dlerror();
    problem = text != nullptr ? text : "unknown error";
  }
  return DynamicLibrary(handle);
}

void* DynamicLibrary::symbol(const char* name) const { return handle_ != nullptr ? dlsym(handle_, name) : nullptr; }

std::string DynamicLibrary::path() const {
  link_map* map = nullptr;
  if (handle_ == nullptr || dlinfo(handle_, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) return {};
  return map->l_name;
}

bool lacks_descriptors(const std::string& problem) {
  for (const int error : {EMFILE, ENFILE}) {
    if (problem.find(std::generic_category().message(error)) != std::string::npos) return true;
  }
  return false;
}

}  // namespace ropejit::internal
