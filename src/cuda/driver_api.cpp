#include "cuda/driver_api.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "support/dynamic_library.hpp"

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

// As many as a driver opens at the least; a few more do no harm.
constexpr int kDescriptorsOfADriver = 16;

bool can_open(int count) {
  std::vector<int> opened;
  while (static_cast<int>(opened.size()) < count) {
    const int descriptor = ::open("/", O_PATH | O_CLOEXEC);
    if (descriptor < 0) break;
    opened.push_back(descriptor);
  }
  for (const int descriptor : opened) ::close(descriptor);
  return static_cast<int>(opened.size()) == count;
}

/// The process that initialises the driver, or has it: a child of fork cannot know how far its parent came. 0 where
/// nobody does.
constinit std::atomic<pid_t> initialising{0};

struct LoadedDriver {
  DynamicLibrary library;
  DriverApi api;
  DriverProblem problem;

  LoadedDriver() {
    std::string why;
    library = DynamicLibrary::open("libcuda.so.1", why);
    if (!library) {
      problem = {fmt::format("no CUDA driver: {}", why), lacks_descriptors(why)};
      return;
    }
    const auto get_proc_address = reinterpret_cast<GetProcAddress>(library.symbol("cuGetProcAddress_v2"));
    if (get_proc_address == nullptr) {
      problem.text = "the CUDA driver is older than 12.0";
      return;
    }
    problem.text = fill(api, get_proc_address);
    if (!problem.text.empty()) return;
    api.process = ::getpid();
    initialising.store(api.process);
    const CUresult result = api.p_cuInit(0);
    if (result == CUDA_SUCCESS) return;
    // What the driver says where somebody else had initialised it before the fork.
    problem.text =
        result == CUDA_ERROR_NOT_INITIALIZED ? kForked : fmt::format("cuInit: {}", driver_error_text(api, result));
    problem.short_of_descriptors = result != CUDA_ERROR_NOT_INITIALIZED && !can_open(kDescriptorsOfADriver);
    // Where there was no GPU in the parent there is none to lose in a child.
    initialising.store(0);
  }
};

}  // namespace

const DriverApi* driver_api(DriverProblem& problem) {
  // Never destroyed: kernels may be launched until the process is gone. What did not work is tried again: a process may
  // have been short of file descriptors. No lock: one that is held at a fork stays held.
  static constinit std::atomic<const LoadedDriver*> kept{nullptr};
  problem = {};
  const pid_t by = initialising.load();
  if (by != 0 && by != ::getpid()) {
    problem.text = kForked;
    return nullptr;
  }
  if (const LoadedDriver* driver = kept.load()) return &driver->api;
  auto driver = std::make_unique<const LoadedDriver>();
  problem = driver->problem;
  if (!problem.text.empty()) return nullptr;
  const LoadedDriver* first = nullptr;
  if (kept.compare_exchange_strong(first, driver.get())) first = driver.release();
  return &first->api;
}

const DriverApi& require_driver_api() {
  DriverProblem problem;
  const DriverApi* api = driver_api(problem);
  if (api == nullptr) throw Error(ErrorCode::device_unavailable, "device", problem.text);
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
