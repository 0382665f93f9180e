#include "host/shared_object.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "support/loading.hpp"

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

/// A path to the descriptor that no other load has. dlopen knows objects by the path they were opened by, and gives
/// back the older of two with one path; descriptors' numbers are used again. "/." means nothing in a path, so each bit
/// of a number that counts loads may say whether there is one.
std::string path_of(int descriptor) {
  static std::atomic<std::uint64_t> loads = 0;
  std::string path = "/proc/self/fd";
  for (std::uint64_t number = ++loads; number != 0; number /= 2) path += number % 2 == 0 ? "/" : "/.";
  return fmt::format("{}/{}", path, descriptor);
}

}  // namespace

SharedObject::SharedObject(std::string_view image) {
  const struct Descriptor {
    int number;
    ~Descriptor() {
      if (number >= 0) ::close(number);
    }
  } file{memfd_create("ropejit", MFD_CLOEXEC)};
  if (file.number < 0) refuse(fmt::format("memfd_create: {}", std::strerror(errno)));
  write_all(file.number, image);
  const Loading loading;
  handle_ = dlopen(path_of(file.number).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) refuse(last_dl_error());
}

SharedObject::~SharedObject() {
  const Loading loading;
  dlclose(handle_);
}

void* SharedObject::symbol(const std::string& name) const {
  void* address = dlsym(handle_, name.c_str());
  if (address == nullptr) refuse(last_dl_error());
  return address;
}

}  // namespace ropejit::internal
