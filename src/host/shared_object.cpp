#include "host/shared_object.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>

#include "host/private_folder.hpp"
#include "ropejit/error.hpp"
#include "support/dynamic_library.hpp"
#include "support/write_all.hpp"

namespace ropejit::internal {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::load_failed, "load", fmt::format("host binary: {}", why));
}

std::string last_dl_error() {
  const char* text = dlerror();
  return text != nullptr ? text : "unknown error";
}

std::uint64_t next_load() {
  static std::atomic<std::uint64_t> loads = 0;
  return ++loads;
}

/// A path to the descriptor that no other load has. dlopen knows objects by the path they were opened by, and gives
/// back the older of two with one path; descriptors' numbers are used again. "/." means nothing in a path, so each bit
/// of a number that counts loads may say whether there is one.
std::string path_of(int descriptor) {
  std::string path = "/proc/self/fd";
  for (std::uint64_t number = next_load(); number != 0; number /= 2) path += number % 2 == 0 ? "/" : "/.";
  return fmt::format("{}/{}", path, descriptor);
}

/// False where /proc is not mounted, or is another's.
bool leads_to(const std::string& path, int descriptor) {
  struct stat by_path = {};
  struct stat by_number = {};
  return stat(path.c_str(), &by_path) == 0 && fstat(descriptor, &by_number) == 0 &&
         by_path.st_dev == by_number.st_dev && by_path.st_ino == by_number.st_ino;
}

/// Null, and why not.
void* open_in_memory(std::string_view image, std::string& problem) {
  const struct Descriptor {
    int number;
    ~Descriptor() {
      if (number >= 0) ::close(number);
    }
  } file{memfd_create("ropejit", MFD_CLOEXEC)};
  if (file.number < 0 || write_all(file.number, image) != 0) {
    problem = fmt::format("memory file: {}", std::strerror(errno));
    return nullptr;
  }
  const std::string path = path_of(file.number);
  if (!leads_to(path, file.number)) {
    problem = "memory file: /proc/self/fd does not lead to it";
    return nullptr;
  }
  const Loading loading;
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) problem = last_dl_error();
  return handle;
}

/// The same by way of a file that is gone again when this returns: what is mapped stays.
void* open_in_folder(std::string_view image, std::string& problem) {
  try {
    PrivateFolder folder(ErrorCode::load_failed, "load");
    // Names of folders may come again, and dlopen remembers them.
    const std::string path = folder.write(fmt::format("{}.so", next_load()), image);
    const Loading loading;
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) problem = last_dl_error();
    return handle;
  } catch (const Error& error) {
    problem = error.what();
    return nullptr;
  }
}

}  // namespace

SharedObject::SharedObject(std::string_view image) {
  std::string problem;
  handle_ = open_in_memory(image, problem);
  if (handle_ != nullptr) return;
  std::string other_problem;
  handle_ = open_in_folder(image, other_problem);
  if (handle_ == nullptr) refuse(fmt::format("{}; as a temporary file: {}", problem, other_problem));
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
