#include "store/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <system_error>
#include <utility>

namespace ropejit::internal {
namespace {

std::string failure(const char* what, const std::string& path) {
  const int error = errno;
  return fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(error));
}

// "/a/b" -> "/a"; "/a" -> "/"; "a" -> ".".
std::string parent_of(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return "/";
  const std::size_t slash = path.find_last_of('/', end);
  if (slash == std::string::npos) return ".";
  const std::size_t last = path.find_last_not_of('/', slash);
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

}  // namespace

std::string make_directories(const FileOps& ops, const std::string& path) {
  // The deepest first: on read-only and automounted systems mkdir of an existing parent may fail in odd ways.
  const auto make = [&] { return ops.mkdir(path.c_str(), 0700); };
  if (retry_interrupted(make) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return failure("create folder", path);
  const std::string parent = parent_of(path);
  if (parent == path) return failure("create folder", path);
  if (std::string problem = make_directories(ops, parent); !problem.empty()) return problem;
  if (retry_interrupted(make) == 0 || errno == EEXIST) return {};
  return failure("create folder", path);
}

AtomicFile::AtomicFile(const FileOps& ops, std::string path)
    : ops_(ops), path_(std::move(path)), folder_(parent_of(path_)) {}

AtomicFile::~AtomicFile() { discard(); }

std::string AtomicFile::commit(std::string_view bytes) {
  std::string problem = fill(bytes);
  if (problem.empty() && retry_interrupted([&] { return ops_.rename(temporary_.c_str(), path_.c_str()); }) != 0) {
    problem = failure("rename to", path_);
  }
  if (!problem.empty()) {
    discard();
    return problem;
  }
  temporary_.clear();
  sync_folder();
  return {};
}

std::string AtomicFile::fill(std::string_view bytes) {
  if (std::string problem = make_directories(ops_, folder_); !problem.empty()) return problem;

  const std::size_t name_at = path_.find_last_of('/') + 1;  // npos + 1 is 0
  std::string name = fmt::format("{}/.{}.XXXXXX", folder_, std::string_view(path_).substr(name_at));
  OpenFile file(ops_, retry_interrupted([&] {
                  name.replace(name.size() - 6, 6, "XXXXXX");  // a failed call may have filled it in
                  return ops_.make_temporary(name.data());
                }));
  if (!file) return failure("create a file in", folder_);
  temporary_ = std::move(name);

  while (!bytes.empty()) {
    const ssize_t put = retry_interrupted([&] { return ops_.write(file.get(), bytes.data(), bytes.size()); });
    if (put < 0) return failure("write", temporary_);
    if (put == 0) return fmt::format("cannot write {}: the file system takes no more bytes", temporary_);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  if (retry_interrupted([&] { return ops_.fsync(file.get()); }) != 0) return failure("sync", temporary_);
  if (!file.close()) return failure("close", temporary_);  // network file systems report a full disk here
  return {};
}

void AtomicFile::sync_folder() const {
  // The file is in place and whole whatever happens here; what a failure loses is that it survives a power cut.
  const OpenFile folder(
      ops_, retry_interrupted([&] { return ops_.open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (folder) retry_interrupted([&] { return ops_.fsync(folder.get()); });
}

void AtomicFile::discard() noexcept {
  if (temporary_.empty()) return;
  retry_interrupted([&] { return ops_.unlink(temporary_.c_str()); });
  temporary_.clear();
}

}  // namespace ropejit::internal
