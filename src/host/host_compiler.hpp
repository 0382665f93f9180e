// The system's C++ compiler, run as a process on generated source and the templates.
#pragma once

#include <optional>
#include <string>

#include "target/target.hpp"

namespace ropejit::internal {

#if defined(__x86_64__)
inline constexpr const char* kHostArch = "host-x86_64";
#elif defined(__aarch64__)
inline constexpr const char* kHostArch = "host-aarch64";
#else
#error "the host target supports x86-64 and aarch64 Linux"
#endif

/// The options that decide what comes out: part of keys.
const std::string& host_recipe();

class HostCompiler : public Compiler {
 public:
  /// `compiler`: a path or a name on PATH; else ROPEJIT_HOST_CXX, else c++, g++, clang++, the first that is there.
  /// Throws Error{compile_failed} where there is none.
  explicit HostCompiler(const std::optional<std::string>& compiler);

  CompiledBinary compile(const KernelSource& source) const override;

  const std::string& path() const { return path_; }
  /// The first line of what `compiler --version` prints.
  const std::string& version() const { return version_; }

 private:
  std::string path_;
  std::string version_;
};

}  // namespace ropejit::internal
