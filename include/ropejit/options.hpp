// ServiceOptions: every knob of a service, with its unit and default. An option that is set wins over the
// environment variable beside it, which wins over the default.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace ropejit {
inline namespace v0 {

struct ServiceOptions {
  /// "auto" (the first CUDA device, else the host target), "cuda", "cuda:N" or "host".
  /// Environment: ROPEJIT_DEVICE. Default: "auto".
  std::optional<std::string> device;

  /// Where binaries are kept. Environment: ROPEJIT_CACHE_DIR, else $XDG_CACHE_HOME/ropejit, else
  /// ~/.cache/ropejit, else memory only. An empty string: memory only.
  std::optional<std::string> cache_dir;

  /// libnvrtc to load when something must be compiled: a file or a directory. Environment: ROPEJIT_NVRTC.
  /// Default: the dynamic linker's, then $CUDA_HOME/lib64 and /usr/local/cuda/lib64.
  std::optional<std::string> nvrtc;

  /// C++20 compiler of the host target: a path or a name on PATH. Environment: ROPEJIT_HOST_CXX.
  /// Default: the first of c++, g++, clang++.
  std::optional<std::string> host_compiler;

  /// Receives one line an event that a person may want to know of (an entry refused, a directory that cannot be
  /// written). Called from the thread that found it, never from launch. Default: none. The library itself prints
  /// nothing.
  std::function<void(std::string_view line)> warn;
};

}  // namespace v0
}  // namespace ropejit
