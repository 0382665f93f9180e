#include "store/file/output.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr int kMostLinks = 40;
constexpr const char* kAllowed = "a regular file, a character device or a pipe";

std::string text_of(int error) { return std::generic_category().message(error); }

// For names in it alone, and so also where its list may not be read.
OpenFile open_folder_of(const FileOps& ops, const std::string& path) {
  const auto open = [&](int flags) {
    return OpenFile(ops, retry_interrupted([&] { return ops.open(AT_FDCWD, path.c_str(), flags, 0); }));
  };
  constexpr int kFlags = O_DIRECTORY | O_CLOEXEC;
  OpenFile folder = open(O_RDONLY | kFlags);
  return !folder && errno == EACCES ? open(O_PATH | kFlags) : std::move(folder);
}

bool same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

}  // namespace

const char* file_kind(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "a regular file";
    case S_IFDIR: return "a directory";
    case S_IFLNK: return "a symbolic link";
    case S_IFIFO: return "a pipe";
    case S_IFSOCK: return "a socket";
    case S_IFCHR: return "a character device";
    case S_IFBLK: return "a block device";
    default: return "no file";
  }
}

std::string in_its_place(const FileOps& ops, const Folder& folder, const std::string& name, AtomicFile* file) {
  const std::string path = folder.path + "/" + name;
  struct stat status = {};
  if (retry_interrupted([&] { return ops.stat(folder.get(), name.c_str(), &status); }) != 0) {
    return errno == ENOENT ? "" : failure("stat", path);
  }
  if (S_ISREG(status.st_mode)) {
    if (file != nullptr) file->resemble(status);
    return {};
  }
  return fmt::format("{}: found {}, allowed: a regular file", path, file_kind(status.st_mode));
}

OutputFile::OutputFile(const FileOps& ops, const std::string& path) : ops_(ops), path_(path) { look(); }

void OutputFile::look() {
  std::string way = path_;
  for (int links = 0; links <= kMostLinks; ++links) {
    const std::filesystem::path split(way);
    name_ = split.filename().string();
    if (name_.empty() || name_ == "." || name_ == "..") {
      return refuse(Kind::refused,
                    fmt::format("found {}, allowed: {}", path_.empty() ? "no name" : "the name of a folder", kAllowed));
    }
    folder_.path = split.has_parent_path() ? split.parent_path().string() : ".";
    folder_.file = open_folder_of(ops_, folder_.path);
    if (!folder_) {
      return refuse(Kind::unreachable, failure("open folder", folder_.path));
    }
    struct stat status = {};
    if (retry_interrupted([&] { return ops_.stat(folder_.get(), name_.c_str(), &status); }) != 0) {
      if (errno != ENOENT) return refuse(Kind::unreachable, text_of(errno));
      if (links != 0)
        return refuse(Kind::refused, fmt::format("found a link that leads nowhere, allowed: {}", kAllowed));
      kind_ = Kind::file;
      return;
    }
    if (!S_ISLNK(status.st_mode)) return take(status);
    if (!follow(way)) return;
  }
  refuse(Kind::refused, fmt::format("found links that lead in circles, allowed: {}", kAllowed));
}

void OutputFile::refuse(Kind kind, std::string why) {
  kind_ = kind;
  problem_ = fmt::format("{}: {}", excerpt(path_, 300), why);
}

// The path behind the link `name_`; false where that is no path, and all is known.
bool OutputFile::follow(std::string& path) {
  struct stat here = {};
  struct stat proc = {};
  if (retry_interrupted([&] { return ops_.fstat(folder_.get(), &here); }) != 0) {
    refuse(Kind::unreachable, text_of(errno));
    return false;
  }
  const bool has_proc = retry_interrupted([&] { return ops_.stat(AT_FDCWD, "/proc", &proc); }) == 0;
  // Links of /proc lead to what is open, which need not have the name that stands in them, or any.
  if (has_proc && here.st_dev == proc.st_dev) {
    const OpenFile own(ops_, retry_interrupted([&] {
                         return ops_.open(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
                       }));
    struct stat of_own = {};
    if (own && retry_interrupted([&] { return ops_.fstat(own.get(), &of_own); }) == 0 && same(here, of_own) &&
        take_descriptor()) {
      return false;
    }
    refuse(Kind::refused,
           fmt::format("found a link of /proc that is no open file of this process, allowed: {}", kAllowed));
    return false;
  }
  std::string target;
  if (retry_interrupted([&] { return ops_.read_link(folder_.get(), name_.c_str(), target); }) != 0) {
    refuse(Kind::unreachable, text_of(errno));
    return false;
  }
  path = target.starts_with('/') ? target : folder_.path + "/" + target;
  return true;
}

bool OutputFile::take_descriptor() {
  const auto number = number_in<int>(name_);
  struct stat status = {};
  if (!number || retry_interrupted([&] { return ops_.fstat(*number, &status); }) != 0) return false;
  // Written by its number: opened anew, a file would begin at its start again, and a socket cannot be.
  if (S_ISREG(status.st_mode) || S_ISCHR(status.st_mode)) {
    kind_ = Kind::device;
  } else if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
    kind_ = Kind::pipe;
  } else {
    refuse(Kind::refused, fmt::format("found {}, allowed: {}", file_kind(status.st_mode), kAllowed));
    return true;
  }
  descriptor_ = *number;
  return true;
}

void OutputFile::take(const struct stat& status) {
  if (S_ISREG(status.st_mode)) {
    kind_ = Kind::file;
    old_ = status;
  } else if (S_ISCHR(status.st_mode)) {
    kind_ = Kind::device;
  } else if (S_ISFIFO(status.st_mode)) {
    kind_ = Kind::pipe;
  } else {
    refuse(Kind::refused, fmt::format("found {}, allowed: {}", file_kind(status.st_mode), kAllowed));
  }
}

std::string OutputFile::write(const std::function<std::string(const AtomicFile::Put& put)>& content,
                              mode_t mode) const {
  if (!problem_.empty()) return problem_;
  if (kind_ != Kind::file) return write_through(content);
  const Trust own;
  AtomicFile file(ops_, own, folder_, name_, mode);
  if (old_) file.resemble(*old_);
  return file.commit(content);
}

std::string OutputFile::write(std::string_view bytes, mode_t mode) const {
  return write([bytes](const AtomicFile::Put& put) { return put(bytes); }, mode);
}

std::string OutputFile::append(std::string_view bytes, mode_t mode) const {
  if (!problem_.empty()) return problem_;
  if (kind_ == Kind::pipe && descriptor_ < 0) {
    return fmt::format(
        "{}: found a pipe, allowed: a regular file or a character device, as it is written piece by piece", path_);
  }
  if (kind_ != Kind::file) {
    return write_through([bytes](const AtomicFile::Put& put) { return put(bytes); });
  }
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  OpenFile file(ops_, retry_interrupted([&] { return ops_.open(folder_.get(), name_.c_str(), kFlags, mode); }));
  if (!file) return failure("open", path_);
  std::string problem = put(file, bytes);
  if (!file.close() && problem.empty()) problem = failure("close", path_);
  return problem;
}

std::string OutputFile::put(const OpenFile& file, std::string_view bytes) const {
  return put_all(ops_, file ? file.get() : descriptor_, bytes, path_, "it");
}

std::string OutputFile::write_through(const std::function<std::string(const AtomicFile::Put& put)>& content) const {
  OpenFile file;
  if (descriptor_ < 0) {
    // O_NONBLOCK: to open a pipe that nobody reads fails then, and does not wait.
    constexpr int kFlags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    file = OpenFile(ops_, retry_interrupted([&] { return ops_.open(folder_.get(), name_.c_str(), kFlags, 0); }));
    if (!file && errno == ENXIO && kind_ == Kind::pipe) {
      return fmt::format("{}: found a pipe that nobody reads, allowed: one with a reader", path_);
    }
    if (!file || retry_interrupted([&] { return ops_.wait_when_full(file.get()); }) < 0) {
      return failure("open", path_);
    }
  }
  std::string problem = content([&](std::string_view bytes) { return put(file, bytes); });
  if (!file.close() && problem.empty()) problem = failure("close", path_);
  return problem;
}

}  // namespace ropejit::internal
