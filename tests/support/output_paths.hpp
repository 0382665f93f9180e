// Paths of every kind that a person may name for an output, each in a folder of its own, and what is in such a folder
// before and after. Device nodes are made where this user may make and open them: root, in most containers.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

namespace ropejit::test {

enum class Becomes {
  replaced,      ///< a regular file, new or whole anew
  written,       ///< what was written went through it, and it is what it was
  refused,       ///< nothing was written
  full,          ///< it was opened, and takes nothing
  not_readable,  ///< replaced, but that there is nothing to read before
};

struct OutputPath {
  std::string kind;
  std::string folder;  ///< its own
  std::string path;
  Becomes becomes = Becomes::refused;
  std::string file = {};           ///< where what was written can be read afterwards; empty: nowhere
  bool link = false;               ///< symbolic links lead there
  std::shared_ptr<int> held = {};  ///< the socket, or the end of the pipe that is read
  bool is_pipe() const { return kind.find("pipe") != std::string::npos; }
};

/// Everything in a folder, by name: what it is, and of a regular file its mode and bytes.
inline std::map<std::string, std::string> shape_of(const std::string& folder) {
  std::map<std::string, std::string> shape;
  for (const auto& item : std::filesystem::directory_iterator(folder)) {
    struct stat status = {};
    REQUIRE(::lstat(item.path().c_str(), &status) == 0);
    std::string what = std::to_string(status.st_mode) + " " + std::to_string(status.st_rdev);
    if (S_ISREG(status.st_mode)) what += " " + read_text(item.path().string());
    if (S_ISLNK(status.st_mode)) what += " to " + std::filesystem::read_symlink(item.path()).string();
    if (!S_ISREG(status.st_mode)) what += " inode " + std::to_string(status.st_ino);
    shape[item.path().filename().string()] = what;
  }
  return shape;
}

inline std::shared_ptr<int> held(int descriptor) {
  REQUIRE(descriptor >= 0);
  return {new int(descriptor), [](int* number) {
            ::close(*number);
            delete number;
          }};
}

/// What came through the pipe by now.
inline std::string read_pipe(int descriptor) {
  std::string text;
  char block[65536];
  for (ssize_t got = 0; (got = ::read(descriptor, block, sizeof block)) > 0;)
    text.append(block, static_cast<std::size_t>(got));
  return text;
}

/// All kinds below `parent`; each path ends in `name`, its folder in `inner`, and regular files that are there hold
/// `text`.
inline std::vector<OutputPath> output_paths(const std::string& parent, const std::string& name, const std::string& text,
                                            const std::string& inner = "") {
  namespace fs = std::filesystem;
  std::vector<OutputPath> all;
  const auto add = [&](const std::string& kind, Becomes becomes, const std::function<void(OutputPath & made)>& make) {
    OutputPath made;
    made.kind = kind;
    made.folder = parent + "/" + std::to_string(all.size()) + (inner.empty() ? "" : "/" + inner);
    made.path = made.folder + "/" + name;
    made.becomes = becomes;
    fs::create_directories(made.folder);
    make(made);
    all.push_back(std::move(made));
  };
  const auto node = [&](const std::string& path, mode_t type, unsigned major, unsigned minor) {
    return ::mknod(path.c_str(), type | 0666, makedev(major, minor)) == 0;
  };
  add("nothing", Becomes::not_readable, [](OutputPath& made) { made.file = made.path; });
  add("a regular file", Becomes::replaced, [&](OutputPath& made) {
    write_text(made.path, text);
    REQUIRE(::chmod(made.path.c_str(), 0640) == 0);
    made.file = made.path;
  });
  add("a link to a regular file", Becomes::replaced, [&](OutputPath& made) {
    made.link = true;
    made.file = made.folder + "/target";
    write_text(made.file, text);
    REQUIRE(::chmod(made.file.c_str(), 0604) == 0);
    fs::create_symlink("target", made.path);
  });
  add("links by way of another folder", Becomes::replaced, [&](OutputPath& made) {
    made.link = true;
    made.file = made.folder + "/target";
    write_text(made.file, text);
    fs::create_directory(made.folder + "/below");
    fs::create_symlink("../target", made.folder + "/below/link");
    fs::create_symlink(made.folder + "/below/link", made.path);
  });
  add("a link that leads nowhere", Becomes::refused, [](OutputPath& made) {
    made.link = true;
    fs::create_symlink("nowhere", made.path);
  });
  add("a link to itself", Becomes::refused, [&](OutputPath& made) {
    made.link = true;
    fs::create_symlink(name, made.path);
  });
  add("a directory", Becomes::refused, [](OutputPath& made) { fs::create_directory(made.path); });
  add("a link to a directory", Becomes::refused, [](OutputPath& made) {
    made.link = true;
    fs::create_directory(made.folder + "/target");
    fs::create_symlink("target", made.path);
  });
  add("a pipe that nobody reads", Becomes::refused,
      [](OutputPath& made) { REQUIRE(::mkfifo(made.path.c_str(), 0600) == 0); });
  add("a pipe that is read", Becomes::written, [](OutputPath& made) {
    REQUIRE(::mkfifo(made.path.c_str(), 0600) == 0);
    made.held = held(::open(made.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    REQUIRE(::fcntl(*made.held, F_SETPIPE_SZ, 1 << 20) > 0);
  });
  add("a socket", Becomes::refused, [&](OutputPath& made) {
    made.held = held(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // By a name in the working folder of nobody's else: paths of sockets are short.
    const std::string path = "/proc/self/fd/" + std::to_string(::open(made.folder.c_str(), O_PATH)) + "/" + name;
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::string short_path = path.size() < sizeof address.sun_path ? path : path.substr(0, path.rfind('/')) + "/s";
    std::memcpy(address.sun_path, short_path.c_str(), short_path.size() + 1);
    REQUIRE(::bind(*made.held, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    if (short_path != path) fs::rename(made.folder + "/s", made.path);
  });
  const std::string probe = parent + "/probe";
  const bool has_devices = node(probe, S_IFCHR, 1, 3) && ::access(probe.c_str(), W_OK) == 0 &&
                           held(::open(probe.c_str(), O_WRONLY | O_CLOEXEC)) != nullptr;
  if (!has_devices) return all;
  add("the null device", Becomes::written, [&](OutputPath& made) { REQUIRE(node(made.path, S_IFCHR, 1, 3)); });
  add("a link to the null device", Becomes::written, [&](OutputPath& made) {
    made.link = true;
    REQUIRE(node(made.folder + "/device", S_IFCHR, 1, 3));
    fs::create_symlink("device", made.path);
  });
  add("a device that is full", Becomes::full, [&](OutputPath& made) { REQUIRE(node(made.path, S_IFCHR, 1, 7)); });
  add("a block device", Becomes::refused, [&](OutputPath& made) {
    // Of a number that no driver has: opened by mistake it would still do no harm.
    REQUIRE(node(made.path, S_IFBLK, 240, 77));
  });
  return all;
}

/// That a path is afterwards what it was, or a regular file of the same mode where one is replaced, and that nothing
/// temporary is beside it. `more`: other files may have come into the folder.
inline void check_shape(const OutputPath& made, const std::map<std::string, std::string>& before, bool was_written,
                        bool more = false) {
  std::map<std::string, std::string> after = shape_of(made.folder);
  for (const auto& [name, what] : after) {
    CAPTURE(name);
    CHECK(name.front() != '.');
    if (before.count(name) != 0 || made.folder + "/" + name == made.file) continue;
    CHECK(more);
  }
  for (const auto& [name, what] : before) {
    CAPTURE(name);
    if (was_written && made.folder + "/" + name == made.file) {
      CHECK(after[name].substr(0, after[name].find(' ')) == what.substr(0, what.find(' ')));
    } else {
      CHECK(after[name] == what);
    }
  }
  if (!made.file.empty() && !was_written) CHECK(after.size() == before.size());
}

}  // namespace ropejit::test
