// Runs the built program `ropejit` as a process of its own, with an environment of its own.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/scratch_folder.hpp"

namespace ropejit::test {

struct Finished {
  int status = -1;  ///< exit status; 1000 + the signal where one ended it
  std::string out;
  std::string err;
};

/// The environment variable ROPEJIT_CLI, else where the program was when the tests were built, else "".
inline std::string program_path() {
  if (const char* moved = std::getenv("ROPEJIT_CLI")) return moved;
#ifdef ROPEJIT_CLI_PATH
  return ROPEJIT_CLI_PATH;
#else
  return {};
#endif
}

/// Whether what was printed has these words in it.
inline bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// A spec of two small heads, whose kernels are compiled in a moment.
inline constexpr const char* kTwoHeads =
    R"({"schema": 1, "dtype": "bf16", "rope_theta": 10000, "rotary_dim": 16, "q": {"heads": 2, "head_dim": 16}})";

/// A scratch folder, and the program run with its HOME and its cache there.
class Program {
 public:
  Program() {
    for (const char* name :
         {"PATH", "TMPDIR", "CUDA_HOME", "LD_LIBRARY_PATH", "ROPEJIT_NVRTC", "ROPEJIT_HOST_CXX", "ROPEJIT_TEST_KEPT",
          "ROPEJIT_TEST_LEVEL", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
      if (const char* value = std::getenv(name)) environment[name] = value;
    }
    environment["HOME"] = folder.path();
    environment["ROPEJIT_CACHE_DIR"] = cache();
  }

  std::string cache() const { return folder / "cache"; }

  /// Writes a file into the folder and returns its path.
  std::string file(const std::string& name, std::string_view text) const {
    write_text(folder / name, text);
    return folder / name;
  }

  Finished operator()(const std::vector<std::string>& arguments) const { return run(arguments, outputs / "out"); }

  /// With stdout on the file named; "": closed.
  Finished run(const std::vector<std::string>& arguments, const std::string& out) const {
    std::vector<std::string> words = arguments;
    words.insert(words.begin(), path);
    std::vector<std::string> pairs;
    for (const auto& [name, value] : environment) pairs.push_back(name + "=" + value);

    const std::string err = outputs / "err";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, input.c_str(), O_RDONLY, 0);
    if (out.empty()) {
      posix_spawn_file_actions_addclose(&actions, 1);
    } else {
      posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    }
    posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child = 0;
    const int problem =
        ::posix_spawn(&child, words[0].c_str(), &actions, nullptr, pointers(words).data(), pointers(pairs).data());
    posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) throw std::runtime_error("cannot run " + words[0]);
    int status = 0;
    if (::waitpid(child, &status, 0) != child) throw std::runtime_error("waitpid failed");

    Finished finished;
    finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    if (out == outputs / "out") finished.out = read_text(out);
    finished.err = without_sanitizer_notes(read_text(err));
    return finished;
  }

  std::string path = program_path();               ///< of the program
  std::map<std::string, std::string> environment;  ///< what it sees
  std::string input = "/dev/null";                 ///< the file that is its standard input
  ScratchFolder folder;                            ///< HOME, and files of the test

 private:
  // AddressSanitizer says on stderr that fibers, which the host target is made of, are new to it.
  static std::string without_sanitizer_notes(std::string text) {
    const std::string note = "WARNING: ASan doesn't fully support makecontext";
    for (std::size_t at = text.find(note); at != std::string::npos; at = text.find(note)) {
      const std::size_t begin = text.rfind('\n', at) == std::string::npos ? 0 : text.rfind('\n', at) + 1;
      text.erase(begin, text.find('\n', at) - begin + 1);
    }
    return text;
  }

  static std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (std::string& text : texts) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
  }

  ScratchFolder outputs;  ///< apart, so that a test may ask what was left in `folder`
};

}  // namespace ropejit::test
