#include "store/file/folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <utility>

namespace ropejit::internal {
namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

// "/a/b" -> "/a"; "/a" -> "/"; "a" -> ".".
std::string parent_of(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return "/";
  const std::size_t slash = path.find_last_of('/', end);
  if (slash == std::string::npos) return ".";
  const std::size_t last = path.find_last_not_of('/', slash);
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

Folder no_folder(const char* what, std::string path) {
  Folder folder;
  folder.absent = errno == ENOENT;
  folder.stale = errno == ESTALE;
  folder.refused = errno == ENOTDIR || errno == ELOOP;  // a link, where links are not followed
  folder.problem = failure(what, path);
  folder.path = std::move(path);
  return folder;
}

// Opens one step of the way: `name` as the system understands it below `above`, `path` for people.
Folder open_step(const FileOps& ops, const Trust& trust, int above, const std::string& name, int flags,
                 std::string path, bool is_new) {
  Folder folder;
  folder.file = OpenFile(ops, retry_interrupted([&] { return ops.open(above, name.c_str(), flags, 0); }));
  if (!folder.file) return no_folder("open folder", std::move(path));
  if (is_new) share_with_group(ops, trust, folder.get(), S_ISGID | 0770);
  struct stat status = {};
  if (retry_interrupted([&] { return ops.fstat(folder.get(), &status); }) != 0) {
    return no_folder("stat folder", std::move(path));
  }
  folder.path = std::move(path);
  if (const std::string problem = distrust(trust, status); !problem.empty()) {
    folder.refused = true;
    folder.problem = fmt::format("folder {}: {}", folder.path, problem);
    folder.file = OpenFile();
  }
  return folder;
}

Folder walk(const FileOps& ops, const Trust& trust, const std::string& directory,
            std::initializer_list<std::string_view> names, bool make) {
  Folder folder = open_step(ops, trust, AT_FDCWD, directory, kFolderFlags, directory, false);
  if (!folder && folder.absent && make) {
    if (std::string problem = make_directories(ops, directory); !problem.empty()) {
      folder.problem = std::move(problem);
      folder.absent = false;
      return folder;
    }
    folder = open_step(ops, trust, AT_FDCWD, directory, kFolderFlags, directory, true);
  }
  for (const std::string_view part : names) {
    if (!folder) return folder;
    const std::string name(part);
    const std::string path = folder.path + "/" + name;
    const auto open = [&](bool is_new) {
      return open_step(ops, trust, folder.get(), name, kFolderFlags | O_NOFOLLOW, path, is_new);
    };
    Folder next = open(false);
    if (!next && next.absent && make) {
      if (retry_interrupted([&] { return ops.mkdir(folder.get(), name.c_str(), 0700); }) != 0 && errno != EEXIST) {
        return no_folder("create folder", path);
      }
      next = open(true);
    }
    folder = std::move(next);
  }
  return folder;
}

}  // namespace

Folder open_folder(const FileOps& ops, const Trust& trust, const std::string& directory,
                   std::initializer_list<std::string_view> names) {
  return walk(ops, trust, directory, names, false);
}

Folder make_folder(const FileOps& ops, const Trust& trust, const std::string& directory,
                   std::initializer_list<std::string_view> names) {
  return walk(ops, trust, directory, names, true);
}

std::string make_directories(const FileOps& ops, const std::string& path) {
  // The deepest first: on read-only and automounted systems mkdir of an existing parent may fail in odd ways.
  const auto make = [&] { return ops.mkdir(AT_FDCWD, path.c_str(), 0700); };
  if (retry_interrupted(make) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return failure("create folder", path);
  const std::string parent = parent_of(path);
  if (parent == path) return failure("create folder", path);
  if (std::string problem = make_directories(ops, parent); !problem.empty()) return problem;
  if (retry_interrupted(make) == 0 || errno == EEXIST) return {};
  return failure("create folder", path);
}

void share_with_group(const FileOps& ops, const Trust& trust, int file, mode_t mode) {
  if (trust.kind != Trust::Kind::group) return;
  struct stat status = {};
  if (retry_interrupted([&] { return ops.fstat(file, &status); }) != 0) return;
  if (status.st_gid != trust.group || status.st_uid != ::geteuid() || (status.st_mode & mode) == mode) return;
  retry_interrupted([&] { return ops.change_mode(file, mode); });
}

}  // namespace ropejit::internal
