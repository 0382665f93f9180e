// ServiceOptions: every knob of a service, with its unit and default. An option that is set wins over the
// environment variable beside it, which wins over the default.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ropejit/export.hpp"

namespace ropejit {
inline namespace v0 {

/// When a service looks for the fastest variants of a kernel by timing them on the device. What it finds is kept as
/// records, in the cache directory, and used ever after; without any a default serves, worked out from shapes.
enum class Tuning {
  off,         ///< never: defaults, and the records that are there
  on_demand,   ///< get tunes first and returns then: a few seconds, once
  background,  ///< get returns at once; a thread tunes beside the work of others and puts the better kernel in place
};
ROPEJIT_EXPORT const char* to_string(Tuning tuning) noexcept;

/// What becomes of a get whose binaries are neither loaded nor stored. Binaries of other numbers but the same class
/// that read their steps from a buffer are taken first, whatever is set here.
enum class OnMiss {
  compile,     ///< compile them, and return then; where that cannot be, the generic kernel serves, with a warning
  background,  ///< the generic kernel serves at once; a thread compiles, and puts the kernel's own binaries in place
  generic,     ///< never compile: what is there serves, else the generic kernel
  error,       ///< never compile: what is there serves, else Error{not_cached}
};
ROPEJIT_EXPORT const char* to_string(OnMiss on_miss) noexcept;

/// Given to RopeService when it is made. A plain value; every field may be left as it is.
struct ServiceOptions {
  /// "auto" (the first CUDA device, else the host target), "cuda", "cuda:N" or "host".
  /// Environment: ROPEJIT_DEVICE. Default: "auto".
  std::optional<std::string> device;

  /// Where binaries are kept. Environment: ROPEJIT_CACHE_DIR, else $XDG_CACHE_HOME/ropejit, else
  /// ~/.cache/ropejit, else memory only. An empty string: memory only.
  std::optional<std::string> cache_dir;

  /// The libnvrtc to load when something must be compiled: a file or a directory. Environment: ROPEJIT_NVRTC. Default:
  /// the dynamic linker's, then $CUDA_HOME/lib64 and /usr/local/cuda/lib64.
  std::optional<std::string> nvrtc;

  /// The C++20 compiler of the host target: a path or a name on PATH. Environment: ROPEJIT_HOST_CXX. Default: the first
  /// of c++, g++, clang++.
  std::optional<std::string> host_compiler;

  /// The generic kernel is built into the library, takes every plan, gives the same bits, and is several times slower.
  /// Environment: ROPEJIT_ON_MISS (compile, background, generic or error). Default: compile.
  std::optional<OnMiss> on_miss;

  /// In a frozen service nothing is ever compiled, tuned or written; what the cache directory and the read-only ones
  /// have serves, any legal variant where the chosen one is missing. on_miss is then error (which is its default) or
  /// generic, and tuning off. This is for images that were warmed when they were built. Environment: ROPEJIT_FROZEN (0
  /// or 1). Default: false.
  std::optional<bool> frozen;

  /// When kernels are tuned. Environment: ROPEJIT_TUNING (off, on_demand or background). Default: off.
  std::optional<Tuning> tuning;
  /// Sizes to tune for: tokens of a launch, of all sequences together. Empty: 1, 4, 16, ... 65536.
  std::vector<std::int64_t> tuning_tokens;
  /// Wall time that tuning on demand may take for one kernel; when it is over, the fastest so far are taken.
  double tuning_budget_ms = 10'000;
  /// The part of the GPU's time that tuning in the background takes, above 0 and up to 1.
  double tuning_share = 0.05;
  /// Whether a kernel that was tuned in the background is put in place as soon as it is there. False:
  /// RopeService::commit_tuned does it, so that ranks can change together.
  bool swap_when_tuned = true;

  /// How many kernels the service keeps in memory, some 55 kB each. Where there would be more, those go that were asked
  /// for longest ago, as by RopeService::forget, but never one that a RopeKernel holds: of those there may be more.
  /// Asked for again they come from the cache directory, or are compiled. 0: no bound.
  std::int64_t most_kernels = 1000;

  /// Receives one line for each thing that a person should know of (an entry refused, a directory that cannot be
  /// written), each said once. Called from the thread that found it, never from launch; it must not throw and must not
  /// call the service. Default: none. The library itself prints nothing.
  std::function<void(std::string_view line)> warn;
  /// Receives a line for every event: what was found where, compiled, waited for and kept. Warnings come here too.
  std::function<void(std::string_view line)> log;
};

}  // namespace v0
}  // namespace ropejit
