#include "cli/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

std::string text_of(int error_number) { return std::generic_category().message(error_number); }

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }
  int close() {
    const int result = ::close(descriptor_);
    descriptor_ = -1;
    return result;
  }

 private:
  int descriptor_;
};

}  // namespace

std::string read_file(std::string_view what, const std::string& path, std::size_t limit) {
  const auto refuse = [&](const std::string& reason) {
    return Error(ErrorCode::invalid_argument, "arguments", fmt::format("{}: {}: {}", what, path, reason));
  };
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) throw refuse(text_of(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw refuse(text_of(errno));
  if (S_ISDIR(status.st_mode)) throw refuse("found a directory, allowed: a file");

  std::string content;
  char block[65536];
  for (;;) {
    const ssize_t got = ::read(file.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw refuse(text_of(errno));
    if (got == 0) return content;
    content.append(block, static_cast<std::size_t>(got));
    if (content.size() > limit) throw refuse(fmt::format("found more than {} bytes, allowed: at most that", limit));
  }
}

void make_directory(const std::string& path) {
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  if (!problem && !std::filesystem::is_directory(path, problem))
    problem = std::make_error_code(std::errc::not_a_directory);
  if (problem) throw Error(ErrorCode::io_error, "output", fmt::format("{}: {}", path, problem.message()));
}

void write_file(const std::string& path, std::string_view content) {
  const std::filesystem::path target(path);
  const std::string beside = (target.parent_path() / fmt::format(".ropejit-{}.tmp", ::getpid())).string();
  const auto refuse = [&](int error_number) {
    return Error(ErrorCode::io_error, "output", fmt::format("{}: {}", path, text_of(error_number)));
  };
  Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) throw refuse(errno);
  int problem = 0;
  while (problem == 0 && !content.empty()) {
    const ssize_t written = ::write(file.get(), content.data(), content.size());
    if (written < 0) {
      problem = errno == EINTR ? 0 : errno;
    } else {
      content.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  if (problem == 0 && ::fsync(file.get()) != 0 && errno != EINVAL) problem = errno;
  if (file.close() != 0 && problem == 0) problem = errno;
  if (problem == 0 && ::rename(beside.c_str(), path.c_str()) != 0) problem = errno;
  if (problem != 0) {
    ::unlink(beside.c_str());
    throw refuse(problem);
  }
}

}  // namespace ropejit::internal
