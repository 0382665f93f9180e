#include "host/host_compiler.hpp"

#include <stdlib.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/StringRef.h>
#include <llvm/Support/Program.h>

#include "ropejit/error.hpp"
#include "support/made_once.hpp"

namespace ropejit::internal {
namespace {

// No contraction and no fast math: the arithmetic is written with explicit fused operations.
constexpr const char* kOptions[] = {
    "-std=c++20", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-exceptions",
    "-fno-rtti",  "-w",  "-Wl,-Bsymbolic",
};

[[noreturn]] void fail(const std::string& message, std::string log = {}) {
  throw Error(ErrorCode::compile_failed, "compile", message, std::move(log));
}

/// A directory of our own under the system's temporary one, gone with the object. Not by LLVM, which takes its names
/// from a sequence that a child of fork goes on with as its parent does.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::error_code error;
    std::string path = (std::filesystem::temp_directory_path(error) / "ropejit-XXXXXX").string();
    if (!error && ::mkdtemp(path.data()) == nullptr) error = {errno, std::generic_category()};
    if (error) fail(fmt::format("cannot make a temporary directory for the host compiler: {}", error.message()));
    path_ = std::move(path);
  }
  ~ScratchDirectory() {
    std::error_code ignored;  // what cannot be removed is the system's to clean
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  std::string file(std::string_view name) const { return fmt::format("{}/{}", path_.string(), name); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

void write_file(const std::string& path, std::string_view text) {
  std::ofstream stream(path, std::ios::binary);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  stream.close();
  if (!stream) fail(fmt::format("cannot write {}", path));
}

std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// Runs without a shell; output of both kinds goes to `log`. Waits without a time limit: llvm's timer would need a
/// signal handler.
int run(const std::vector<std::string>& arguments, const std::string& log, std::string& problem) {
  const std::vector<llvm::StringRef> views(arguments.begin(), arguments.end());
  const llvm::StringRef output(log);
  const std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), output, output};
  return llvm::sys::ExecuteAndWait(views.front(), views, std::nullopt, redirects, 0, 0, &problem);
}

std::string find_compiler(const std::optional<std::string>& compiler) {
  std::vector<std::string> candidates;
  const char* environment = std::getenv("ROPEJIT_HOST_CXX");
  if (compiler && !compiler->empty()) {
    candidates = {*compiler};
  } else if (environment != nullptr && *environment != '\0') {
    candidates = {environment};
  } else {
    candidates = {"c++", "g++", "clang++"};
  }
  for (const std::string& name : candidates) {
    if (llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName(name)) return *path;
  }
  fail(fmt::format("host compiler: found none of {}, allowed: a C++20 compiler named by ROPEJIT_HOST_CXX",
                   fmt::join(candidates, ", ")));
}

}  // namespace

const std::string& host_recipe() {
  static constinit MadeOnce<std::string> recipe;
  return recipe.get([] { return fmt::format("{}", fmt::join(kOptions, " ")); });
}

HostCompiler::HostCompiler(const std::optional<std::string>& compiler) : path_(find_compiler(compiler)) {
  const ScratchDirectory scratch;
  std::string problem;
  const int status = run({path_, "--version"}, scratch.file("version"), problem);
  if (status != 0) fail(fmt::format("host compiler {} does not answer --version: {}", path_, problem));
  const std::string text = read_file(scratch.file("version"));
  version_ = text.substr(0, text.find('\n'));
}

CompiledBinary HostCompiler::compile(const KernelSource& source) const {
  const auto start = std::chrono::steady_clock::now();
  const ScratchDirectory scratch;
  for (const TextFile& file : template_files()) write_file(scratch.file(file.name), file.text);
  write_file(scratch.file("kernel.cpp"), source.text);

  std::vector<std::string> arguments = {path_};
  arguments.insert(arguments.end(), std::begin(kOptions), std::end(kOptions));
  for (const std::string& argument :
       {std::string("-I"), scratch.path(), std::string("-include"), scratch.file("host_shim.cuh"),
        scratch.file("kernel.cpp"), std::string("-o"), scratch.file("kernel.so"), std::string("-lm")}) {
    arguments.push_back(argument);
  }
  std::string problem;
  const int status = run(arguments, scratch.file("log"), problem);
  if (status != 0) {
    fail(fmt::format("host compiler {} refused {} (status {}) {}", path_, source.entry, status, problem),
         read_file(scratch.file("log")));
  }
  CompiledBinary binary;
  binary.image = read_file(scratch.file("kernel.so"));
  if (binary.image.empty()) fail(fmt::format("host compiler {} wrote nothing for {}", path_, source.entry));
  binary.compiler = version_;
  binary.compile_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return binary;
}

}  // namespace ropejit::internal
