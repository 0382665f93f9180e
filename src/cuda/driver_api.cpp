#include "cuda/driver_api.hpp"

#include <atomic>

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "support/dynamic_library.hpp"
#include "support/made_once.hpp"

namespace ropejit::internal {
namespace {

using GetProcAddress = CUresult (*)(const char*, void**, int, cuuint64_t, CUdriverProcAddressQueryResult*);

/// Empty on success.
std::string fill(DriverApi& api, GetProcAddress get_proc_address) {
  // #name is the plain name: an argument of # is not expanded, so the header's renaming macros do not reach it.
#define ROPEJIT_LOOK_UP(name, version)                                                                      \
  {                                                                                                         \
    void* address = nullptr;                                                                                \
    if (get_proc_address(#name, &address, version, CU_GET_PROC_ADDRESS_DEFAULT, nullptr) != CUDA_SUCCESS || \
        address == nullptr) {                                                                               \
      return "the CUDA driver has no " #name ": it is older than 12.0";                                     \
    }                                                                                                       \
    api.p_##name = reinterpret_cast<decltype(api.p_##name)>(address);                                       \
  }
  ROPEJIT_DRIVER_FUNCTIONS(ROPEJIT_LOOK_UP)
#undef ROPEJIT_LOOK_UP
  return {};
}

/// The process that has begun to initialise the driver: a child of fork cannot know how far its parent came.
constinit std::atomic<pid_t> initialising{0};

struct LoadedDriver {
  DynamicLibrary library;
  DriverApi api;
  std::string problem;

  LoadedDriver() {
    std::string why;
    library = DynamicLibrary::open("libcuda.so.1", why);
    if (!library) {
      problem = fmt::format("no CUDA driver: {}", why);
      return;
    }
    const auto get_proc_address = reinterpret_cast<GetProcAddress>(library.symbol("cuGetProcAddress_v2"));
    if (get_proc_address == nullptr) {
      problem = "the CUDA driver is older than 12.0";
      return;
    }
    problem = fill(api, get_proc_address);
    if (!problem.empty()) return;
    api.process = ::getpid();
    initialising.store(api.process);
    const CUresult result = api.p_cuInit(0);
    if (result == CUDA_ERROR_NOT_INITIALIZED) {
      // What the driver says where somebody else had initialised it before the fork.
      problem = kForked;
    } else if (result != CUDA_SUCCESS) {
      problem = fmt::format("cuInit: {}", driver_error_text(api, result));
    }
  }
};

}  // namespace

const DriverApi* driver_api(std::string& problem) {
  // Never destroyed: kernels may be launched until the process is gone.
  static constinit MadeOnce<LoadedDriver> made;
  const pid_t by = initialising.load();
  const bool is_forked = by != 0 && by != ::getpid();
  // Where there was no GPU in the parent there is none here.
  if (const LoadedDriver* known = made.made(); is_forked && (known == nullptr || known->problem.empty())) {
    problem = kForked;
    return nullptr;
  }
  const LoadedDriver& driver = made.get([] { return LoadedDriver(); });
  problem = driver.problem;
  return problem.empty() ? &driver.api : nullptr;
}

const DriverApi& require_driver_api() {
  std::string problem;
  const DriverApi* api = driver_api(problem);
  if (api == nullptr) throw Error(ErrorCode::device_unavailable, "device", problem);
  return *api;
}

std::string driver_error_text(const DriverApi& api, CUresult result) {
  const char* name = nullptr;
  if (api.p_cuGetErrorName == nullptr || api.p_cuGetErrorName(result, &name) != CUDA_SUCCESS || name == nullptr) {
    return fmt::format("CUDA error {}", static_cast<int>(result));
  }
  return fmt::format("{} ({})", name, static_cast<int>(result));
}

void check_driver(const DriverApi& api, CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  throw Error(ErrorCode::device_unavailable, "device", fmt::format("{}: {}", call, driver_error_text(api, result)));
}

}  // namespace ropejit::internal
