#include "host/host_compiler.hpp"

#include <stdlib.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/StringRef.h>
#include <llvm/Support/Program.h>

#include "host/private_folder.hpp"
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

/// What the compiler said, for people; where it cannot be read, why.
std::string read_log(PrivateFolder& scratch) {
  try {
    return scratch.read("log");
  } catch (const Error& error) {
    return error.what();
  }
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
  PrivateFolder scratch(ErrorCode::compile_failed, "compile");
  std::string problem;
  const int status = run({path_, "--version"}, scratch.file("version"), problem);
  if (status != 0) fail(fmt::format("host compiler {} does not answer --version: {}", path_, problem));
  const std::string text = scratch.read("version");
  version_ = text.substr(0, text.find('\n'));
}

CompiledBinary HostCompiler::compile(const KernelSource& source) const {
  const auto start = std::chrono::steady_clock::now();
  PrivateFolder scratch(ErrorCode::compile_failed, "compile");
  for (const TextFile& file : template_files()) scratch.write(file.name, file.text);
  const std::string kernel = scratch.write("kernel.cpp", source.text);

  std::vector<std::string> arguments = {path_};
  arguments.insert(arguments.end(), std::begin(kOptions), std::end(kOptions));
  for (const std::string& argument :
       {std::string("-I"), scratch.path(), std::string("-include"), scratch.file("host_shim.cuh"), kernel,
        std::string("-o"), scratch.file("kernel.so"), std::string("-lm")}) {
    arguments.push_back(argument);
  }
  std::string problem;
  const int status = run(arguments, scratch.file("log"), problem);
  if (status != 0) {
    fail(fmt::format("host compiler {} refused {} (status {}) {}", path_, source.entry, status, problem),
         read_log(scratch));
  }
  CompiledBinary binary;
  binary.image = scratch.read("kernel.so");
  if (binary.image.empty()) fail(fmt::format("host compiler {} wrote nothing for {}", path_, source.entry));
  binary.compiler = version_;
  binary.compile_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return binary;
}

}  // namespace ropejit::internal
