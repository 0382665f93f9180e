#include "cli/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cli/arguments.hpp"
#include "ropejit/error.hpp"
#include "store/file/output.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

std::string text_of(int error_number) { return std::generic_category().message(error_number); }

Error unreadable(std::string_view what, const std::string& name, const std::string& reason) {
  return bad_argument("{}: {}: {}", what, name, reason);
}

std::string read_all(int descriptor, std::string_view what, const std::string& name, std::size_t limit) {
  std::string content;
  char block[65536];
  for (;;) {
    const ssize_t got = ::read(descriptor, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw unreadable(what, name, text_of(errno));
    if (got == 0) return content;
    content.append(block, static_cast<std::size_t>(got));
    if (content.size() > limit) {
      throw unreadable(what, name, fmt::format("found more than {} bytes, allowed: at most that", limit));
    }
  }
}

}  // namespace

std::string read_file(std::string_view what, const std::string& path, std::size_t limit) {
  const OpenFile file(system_file_ops(), ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) throw unreadable(what, path, text_of(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw unreadable(what, path, text_of(errno));
  if (S_ISDIR(status.st_mode)) throw unreadable(what, path, "found a directory, allowed: a file");
  return read_all(file.get(), what, path, limit);
}

std::string read_standard_input(std::string_view what, std::size_t limit) {
  return read_all(STDIN_FILENO, what, "standard input", limit);
}

Found found_at(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return S_ISDIR(status.st_mode) ? Found::folder : Found::other;
  // A link that leads nowhere is there all the same.
  if (::lstat(path.c_str(), &status) == 0) return Found::other;
  return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ? Found::nothing : Found::other;
}

bool is_folder(std::string_view what, const std::string& path) {
  struct stat status {};
  const auto refuse = [&](std::string_view found) {
    return Error(ErrorCode::invalid_argument, "output",
                 fmt::format("{}: {}: found {}, allowed: a folder", what, excerpt(path, 300), found));
  };
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return true;
    throw refuse(file_kind(status.st_mode));
  }
  if (::lstat(path.c_str(), &status) == 0) throw refuse("a link that leads nowhere");
  return false;
}

void make_directory(std::string_view what, const std::string& path) {
  if (is_folder(what, path)) return;
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  if (!problem) return;
  throw Error(ErrorCode::io_error, "output", fmt::format("{}: {}: {}", what, excerpt(path, 300), problem.message()));
}

void expect_output(const std::string& path) {
  const OutputFile file(system_file_ops(), path);
  if (file.kind() != OutputFile::Kind::refused) return;
  throw Error(ErrorCode::invalid_argument, "output", file.problem());
}

void write_file(const OutputFile& file, std::string_view content) {
  const std::string problem = file.write(content);
  if (problem.empty()) return;
  const bool refused = file.kind() == OutputFile::Kind::refused;
  throw Error(refused ? ErrorCode::invalid_argument : ErrorCode::io_error, "output", problem);
}

void write_file(const std::string& path, std::string_view content) {
  write_file(OutputFile(system_file_ops(), path), content);
}

}  // namespace ropejit::internal
