#include "store/file/output.hpp"

#include <sys/resource.h>

#include "store/every_call.hpp"
#include "support/as_nobody.hpp"
#include "support/catch.hpp"
#include "support/output_paths.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

const FileOps& real() { return system_file_ops(); }

bool is_one_line(const std::string& text) { return !text.empty() && text.find('\n') == std::string::npos; }

}  // namespace

TEST_CASE("A path is replaced by a rename, written through or refused, and is afterwards what it was") {
  const ScratchFolder scratch;
  for (const OutputPath& made : output_paths(scratch.path(), "out", "before")) {
    CAPTURE(made.kind);
    const auto before = shape_of(made.folder);
    const OutputFile file(real(), made.path);
    CHECK(shape_of(made.folder) == before);
    const std::string problem = file.write("after");
    const bool works =
        made.becomes == Becomes::replaced || made.becomes == Becomes::not_readable || made.becomes == Becomes::written;
    CAPTURE(problem);
    CHECK(problem.empty() == works);
    if (!works) CHECK(is_one_line(problem));
    if (works && !made.file.empty()) CHECK(read_text(made.file) == "after");
    if (works && made.is_pipe()) CHECK(read_pipe(*made.held) == "after");
    check_shape(made, before, works);
  }
}

TEST_CASE("What is appended to a regular file comes behind what is there; other kinds are as they are for writing") {
  const ScratchFolder scratch;
  for (const OutputPath& made : output_paths(scratch.path(), "out", "before")) {
    CAPTURE(made.kind);
    const auto before = shape_of(made.folder);
    const OutputFile file(real(), made.path);
    const std::string problem = file.append(" after");
    const bool works = made.becomes == Becomes::replaced || made.becomes == Becomes::not_readable ||
                       (made.becomes == Becomes::written && !made.is_pipe());
    CAPTURE(problem);
    CHECK(problem.empty() == works);
    if (!works) CHECK(is_one_line(problem));
    if (works && !made.file.empty()) {
      CHECK(read_text(made.file) == (made.becomes == Becomes::replaced ? "before after" : " after"));
    }
    check_shape(made, before, works);
  }
}

TEST_CASE("A path without a name, without a folder, or below a file is refused in one line") {
  const ScratchFolder scratch;
  write_text(scratch / "file", "text");
  for (const std::string& path : {std::string(), scratch / "", scratch / ".", scratch / "..", std::string("/"),
                                  scratch / "no/folder", scratch / "file/below", scratch / std::string(300, 'n')}) {
    CAPTURE(path);
    const OutputFile file(real(), path);
    CHECK(is_one_line(file.problem()));
    CHECK(file.write("text") == file.problem());
    CHECK(file.append("text") == file.problem());
  }
  CHECK(files_below(scratch.path()).size() == 1);
}

TEST_CASE("The longest name that the system takes is written like any other") {
  const ScratchFolder scratch;
  const std::string path = scratch / std::string(255, 'n');
  for (const char* text : {"one", "two"}) {
    CHECK(OutputFile(real(), path).write(text) == "");
    CHECK(read_text(path) == text);
  }
  CHECK(files_below(scratch.path()).size() == 1);
}

TEST_CASE("An open file of this process is written where it stands, whatever it is") {
  const ScratchFolder scratch;
  write_text(scratch / "log", "");
  int ends[2];
  int sockets[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
  const auto log = held(::open((scratch / "log").c_str(), O_WRONLY | O_CLOEXEC));
  const auto path_of = [](int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); };

  REQUIRE(::write(*log, "first ", 6) == 6);
  CHECK(OutputFile(real(), path_of(*log)).write("second ") == "");
  fs::create_symlink(path_of(*log), scratch / "link");
  CHECK(OutputFile(real(), scratch / "link").append("third ") == "");
  REQUIRE(::write(*log, "fourth", 6) == 6);
  CHECK(read_text(scratch / "log") == "first second third fourth");

  char block[16] = {};
  CHECK(OutputFile(real(), path_of(ends[1])).write("through") == "");
  CHECK(::read(ends[0], block, sizeof block) == 7);
  CHECK(OutputFile(real(), path_of(sockets[1])).write("through") == "");
  CHECK(::read(sockets[0], block, sizeof block) == 7);
  // The end that is read, a folder, a number that is not open, and another process's.
  CHECK(is_one_line(OutputFile(real(), path_of(ends[0])).write("text")));
  const auto folder = held(::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK(OutputFile(real(), path_of(*folder)).kind() == OutputFile::Kind::refused);
  CHECK(is_one_line(OutputFile(real(), path_of(100000)).write("text")));
  CHECK(is_one_line(OutputFile(real(), "/proc/" + std::to_string(::getppid()) + "/fd/0").write("text")));
  CHECK(OutputFile(real(), path_of(1)).is_standard_output());
  CHECK_FALSE(OutputFile(real(), path_of(2)).is_standard_output());
  for (const int descriptor : {ends[0], ends[1], sockets[0], sockets[1]}) ::close(descriptor);
}

TEST_CASE("A file that is replaced keeps its mode and, where this user may give files away, its owner") {
  const ScratchFolder scratch;
  const std::string path = scratch / "out";
  for (const mode_t mode : {0600u, 0644u, 0666u, 0400u, 0755u, 04755u}) {
    write_text(path, "before");
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    if (can_become_nobody()) REQUIRE(::chown(path.c_str(), kNobody, kNobody) == 0);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK(OutputFile(real(), path).write("after") == "");
    struct stat status = {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == (mode & 0777));
    if (can_become_nobody()) CHECK(status.st_uid == kNobody);
    REQUIRE(::unlink(path.c_str()) == 0);
  }
}

TEST_CASE("Without the right to write in the folder the old file stays, and the line says so") {
  if (!can_become_nobody()) return;
  const ScratchFolder scratch;
  REQUIRE(::chmod(scratch.path().c_str(), 0755) == 0);
  fs::create_directory(scratch / "closed");
  const std::string path = scratch / "closed/out";
  write_text(path, "before");
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  for (const std::string& way : {path, scratch / "closed/new"}) {
    const std::string problem = as_nobody([&] { return OutputFile(real(), way).write("after"); });
    CHECK(problem.find("Permission denied") != std::string::npos);
    CHECK(is_one_line(problem));
  }
  CHECK(read_text(path) == "before");
  CHECK(files_below(scratch.path()).size() == 1);
}

TEST_CASE("Whatever call fails, the old file or the new one is there whole, and nothing beside it") {
  const auto failed = at_every_call(
      [](const std::string& directory) {
        fs::create_directory(directory);
        write_text(directory + "/file", "before");
        fs::create_symlink("file", directory + "/link");
      },
      [](const std::string& directory, FaultyFileOps& ops, int error) {
        const std::string problem = OutputFile(ops, directory + "/link").write("after");
        CHECK(problem.find('\n') == std::string::npos);
        // A system that says of a name that it is free gets a file of that name.
        if (ops.failed() == "stat" && error == ENOENT) return;
        const std::string text = read_text(directory + "/file");
        CHECK((text == "before" || text == "after"));
        if (problem.empty()) CHECK(text == "after");
        CHECK(fs::is_symlink(directory + "/link"));
      });
  for (const char* call : {"open", "create", "stat", "fstat", "read_link", "change_mode", "write", "fsync", "rename"}) {
    CHECK(failed.count(call) == 1);
  }
}
