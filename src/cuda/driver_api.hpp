// The CUDA driver's functions, found at run time: a build machine needs no driver, and a process that never asks
// for a device never loads one.
//
// Each is taken at one pinned version of its interface, so that a newer driver cannot change what is called.
#pragma once

#include <cuda.h>
#include <unistd.h>

#include <string>

namespace ropejit::internal {

// Every function used, once, with the CUDA version whose interface is meant.
#define ROPEJIT_DRIVER_FUNCTIONS(X)           \
  X(cuInit, 2000)                             \
  X(cuDriverGetVersion, 2020)                 \
  X(cuGetErrorName, 6000)                     \
  X(cuDeviceGetCount, 2000)                   \
  X(cuDeviceGet, 2000)                        \
  X(cuDeviceGetName, 2000)                    \
  X(cuDeviceGetAttribute, 2000)               \
  X(cuDevicePrimaryCtxRetain, 7000)           \
  X(cuDevicePrimaryCtxRelease, 11000)         \
  X(cuCtxGetCurrent, 4000)                    \
  X(cuCtxSetCurrent, 4000)                    \
  X(cuCtxGetId, 12000)                        \
  X(cuCtxSynchronize, 2000)                   \
  X(cuThreadExchangeStreamCaptureMode, 10010) \
  X(cuLibraryLoadData, 12000)                 \
  X(cuLibraryUnload, 12000)                   \
  X(cuLibraryGetKernel, 12000)                \
  X(cuLibraryGetGlobal, 12000)                \
  X(cuKernelGetFunction, 12000)               \
  X(cuLaunchKernel, 4000)                     \
  X(cuLaunchKernelEx, 11060)                  \
  X(cuMemAlloc, 3020)                         \
  X(cuMemFree, 3020)                          \
  X(cuMemGetInfo, 3020)                       \
  X(cuMemcpyHtoD, 3020)                       \
  X(cuMemcpyDtoH, 3020)                       \
  X(cuMemcpyHtoDAsync, 3020)                  \
  X(cuMemcpyDtoHAsync, 3020)                  \
  X(cuMemcpyDtoDAsync, 3020)                  \
  X(cuEventCreate, 2000)                      \
  X(cuEventRecord, 2000)                      \
  X(cuEventSynchronize, 2000)                 \
  X(cuEventElapsedTime, 2000)                 \
  X(cuEventDestroy, 4000)                     \
  X(cuStreamCreate, 2000)                     \
  X(cuStreamDestroy, 4000)                    \
  X(cuStreamSynchronize, 2000)                \
  X(cuStreamBeginCapture, 10010)              \
  X(cuStreamIsCapturing, 10000)               \
  X(cuStreamEndCapture, 10000)                \
  X(cuGraphCreate, 10000)                     \
  X(cuGraphAddKernelNode, 12000)              \
  X(cuGraphAddMemcpyNode, 10000)              \
  X(cuGraphInstantiateWithFlags, 11040)       \
  X(cuGraphLaunch, 10000)                     \
  X(cuGraphExecDestroy, 10000)                \
  X(cuGraphDestroy, 10000)

struct DriverApi {
  // decltype of the header's names: its macros rename them to the versioned ones, with the same signatures.
#define ROPEJIT_MEMBER(name, version) decltype(&::name) p_##name = nullptr;
  ROPEJIT_DRIVER_FUNCTIONS(ROPEJIT_MEMBER)
#undef ROPEJIT_MEMBER
  pid_t process = 0;  ///< the process that has initialised the driver

  /// False in a child of fork, which must not call any of these.
  bool is_of_this_process() const noexcept { return process == ::getpid(); }
};

/// What a child of fork is told.
inline constexpr const char* kForked =
    "this process was forked from one that had opened the GPU, or was about to, which CUDA does not allow; allowed: a "
    "service whose first get is in the child, or a child that is started anew (exec, spawn)";

/// Why there is no driver.
struct DriverProblem {
  std::string text;  ///< one line
  bool short_of_descriptors =
      false;  ///< there may be one: file descriptors to load it or to look for devices are missing
};

/// The loaded and initialised driver, or null with the reason in `problem`: kForked in a child of fork whose parent had
/// begun to initialise it. Once it is there it is kept, and never
/// unloaded; what failed is tried again by the next call. Thread-safe.
const DriverApi* driver_api(DriverProblem& problem);

/// The same driver; throws Error{device_unavailable} where there is none.
const DriverApi& require_driver_api();

/// The number of the context that is current on this thread; 0: none, or the driver does not tell. Numbers are not used
/// again, unlike contexts' addresses.
inline unsigned long long current_context_number(const DriverApi& api) noexcept {
  CUcontext current = nullptr;
  unsigned long long number = 0;
  if (api.p_cuCtxGetCurrent(&current) != CUDA_SUCCESS || current == nullptr) return 0;
  return api.p_cuCtxGetId(current, &number) == CUDA_SUCCESS ? number : 0;
}

/// "CUDA_ERROR_INVALID_VALUE (1)".
std::string driver_error_text(const DriverApi& api, CUresult result);

/// Throws Error{device_unavailable} unless `result` is success. `call`: the function's name.
void check_driver(const DriverApi& api, CUresult result, const char* call);

}  // namespace ropejit::internal
