// libnvrtc's functions, found with dlopen.
#pragma once

#include <nvrtc.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/dynamic_library.hpp"

namespace ropejit::internal {

// Every function used, once. All of them exist since CUDA 11.3.
#define ROPEJIT_NVRTC_FUNCTIONS(X) \
  X(nvrtcGetErrorString)           \
  X(nvrtcVersion)                  \
  X(nvrtcGetNumSupportedArchs)     \
  X(nvrtcGetSupportedArchs)        \
  X(nvrtcCreateProgram)            \
  X(nvrtcDestroyProgram)           \
  X(nvrtcCompileProgram)           \
  X(nvrtcGetCUBINSize)             \
  X(nvrtcGetCUBIN)                 \
  X(nvrtcGetProgramLogSize)        \
  X(nvrtcGetProgramLog)

struct NvrtcLibrary {
#define ROPEJIT_MEMBER(name) decltype(&::name) name = nullptr;
  ROPEJIT_NVRTC_FUNCTIONS(ROPEJIT_MEMBER)
#undef ROPEJIT_MEMBER

  DynamicLibrary library;
  DynamicLibrary builtins;  ///< what NVRTC itself loads at its first compile
  int major = 0;
  int minor = 0;

  bool at_least(int wanted_major, int wanted_minor) const {
    return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
  }
  /// "sm_75", "sm_80", ... in ascending order.
  std::vector<std::string> archs() const;
};

/// Looks where `choice` says (a file or a directory), else ROPEJIT_NVRTC, else the dynamic linker's places, else
/// $CUDA_HOME/lib64 and /usr/local/cuda/lib64. Throws Error{compile_failed} where none of 12.4 or newer is found.
std::shared_ptr<const NvrtcLibrary> load_nvrtc(const std::optional<std::string>& choice);

}  // namespace ropejit::internal
