#include "host/private_folder.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <llvm/ADT/SmallString.h>
#include <llvm/Support/Path.h>

#include "support/write_all.hpp"

namespace ropejit::internal {
namespace {

std::string temporary_folder() {
  llvm::SmallString<128> path;
  llvm::sys::path::system_temp_directory(true, path);
  return std::string(path.str());
}

/// 0, or the error. A disk that is full may be seen at the close.
int write_and_close(int descriptor, std::string_view bytes) {
  int error = write_all(descriptor, bytes);
  if (::close(descriptor) != 0 && error == 0) error = errno;
  return error;
}

}  // namespace

PrivateFolder::PrivateFolder(ErrorCode code, const char* stage) : code_(code), stage_(stage) {
  std::string path = temporary_folder() + "/ropejit-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) fail("make a temporary folder", path, errno);
  path_ = std::move(path);
}

PrivateFolder::~PrivateFolder() {
  for (const std::string& file : files_) ::unlink(file.c_str());
  if (::rmdir(path_.c_str()) == 0) return;
  // A compiler's own files are in it.
  std::error_code ignored;  // what cannot be removed is the system's to clean
  std::filesystem::remove_all(path_, ignored);
}

std::string PrivateFolder::file(std::string_view name) {
  files_.push_back(fmt::format("{}/{}", path_, name));
  return files_.back();
}

std::string PrivateFolder::write(std::string_view name, std::string_view bytes) {
  std::string path = file(name);
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (descriptor < 0) fail("create", path, errno);
  if (const int error = write_and_close(descriptor, bytes); error != 0) fail("write", path, error);
  return path;
}

std::string PrivateFolder::read(std::string_view name) {
  const std::string path = file(name);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) fail("open", path, errno);
  std::string text;
  char block[16384];
  ssize_t got = 0;
  do {
    got = ::read(descriptor, block, sizeof block);
    if (got > 0) text.append(block, static_cast<std::size_t>(got));
  } while (got > 0 || (got < 0 && errno == EINTR));
  const int error = got < 0 ? errno : 0;
  ::close(descriptor);
  if (error != 0) fail("read", path, error);
  return text;
}

void PrivateFolder::fail(const char* what, const std::string& path, int error) const {
  throw Error(code_, stage_, fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(error)));
}

}  // namespace ropejit::internal
