#include "host/shared_object.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::load_failed, "load", fmt::format("host binary: {}", why));
}

void write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse(fmt::format("cannot write to memory file: {}", std::strerror(errno)));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string last_dl_error() {
  const char* text = dlerror();
  return text != nullptr ? text : "unknown error";
}

}  // namespace

SharedObject::SharedObject(std::string_view image) {
  descriptor_ = memfd_create("ropejit", MFD_CLOEXEC);
  if (descriptor_ < 0) refuse(fmt::format("memfd_create: {}", std::strerror(errno)));
  try {
    write_all(descriptor_, image);
    handle_ = dlopen(fmt::format("/proc/self/fd/{}", descriptor_).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr) refuse(last_dl_error());
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

SharedObject::~SharedObject() {
  dlclose(handle_);
  close(descriptor_);
}

void* SharedObject::symbol(const std::string& name) const {
  void* address = dlsym(handle_, name.c_str());
  if (address == nullptr) refuse(last_dl_error());
  return address;
}

}  // namespace ropejit::internal
