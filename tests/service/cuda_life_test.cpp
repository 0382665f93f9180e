// A GPU's life under a service: several contexts and devices, captures, contexts that go, forks. The last case resets
// the device, after which nothing else in this process can use it: the file is to be run by itself.
#include <cmath>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "cuda/cuda_target.hpp"
#include "cuda/driver_api.hpp"
#include "ropejit/ropejit.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/dynamic_library.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit;

namespace {

constexpr std::int64_t kHeads = 2;
constexpr std::int64_t kDim = 16;
constexpr std::int64_t kTokens = 5;
constexpr std::size_t kElements = kTokens * kHeads * kDim;

/// What the library itself has no use for.
struct Driver {
  internal::DynamicLibrary library;
  int (*context_create)(CUcontext*, unsigned, CUdevice) = nullptr;
  int (*context_destroy)(CUcontext) = nullptr;
  int (*primary_reset)(CUdevice) = nullptr;
};

const Driver& driver() {
  static const Driver all = [] {
    Driver found;
    std::string problem;
    found.library = internal::DynamicLibrary::open("libcuda.so.1", problem);
    REQUIRE(problem.empty());
    const auto look_up = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found.library.symbol(name));
      REQUIRE(function != nullptr);
    };
    look_up(found.context_create, "cuCtxCreate_v2");
    look_up(found.context_destroy, "cuCtxDestroy_v2");
    look_up(found.primary_reset, "cuDevicePrimaryCtxReset_v2");
    return found;
  }();
  return all;
}

const internal::DriverApi& api() { return internal::require_driver_api(); }

bool has_gpu() {
  if (internal::cuda_info().devices > 0) return true;
  WARN("no GPU here: nothing to try");
  return false;
}

RopeSpec plain_spec() {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = kDim;
  spec.q = {kHeads, kDim, 0};
  return spec;
}

RopeSpec spec_that_needs_length() {
  RopeSpec spec = plain_spec();
  DynamicScaling scaling;
  scaling.factor = 2;
  scaling.max_position_embeddings = 64;
  spec.scaling = scaling;
  return spec;
}

ServiceOptions options_of(OnMiss on_miss = OnMiss::compile, const char* device = "cuda:0") {
  ServiceOptions options;
  options.device = device;
  options.cache_dir = "";
  options.on_miss = on_miss;
  return options;
}

/// A context of its own, current from its making to its end.
class OwnContext {
 public:
  OwnContext() {
    REQUIRE(api().p_cuCtxGetCurrent(&before_) == CUDA_SUCCESS);
    REQUIRE(driver().context_create(&context_, 0, 0) == 0);
  }
  ~OwnContext() {
    end();
    api().p_cuCtxSetCurrent(before_);
  }
  void end() {
    if (context_ != nullptr) driver().context_destroy(context_);
    context_ = nullptr;
  }
  CUcontext get() const { return context_; }

 private:
  CUcontext before_ = nullptr;
  CUcontext context_ = nullptr;
};

/// Tensors of the current context. All lanes are 1 before the rotation: lane 0 at position p is then cos p - sin p.
class Tensors {
 public:
  Tensors() {
    static std::mutex mutex;  // assertions are not made for threads
    const std::lock_guard lock(mutex);
    REQUIRE(api().p_cuMemAlloc(&q_, kElements * 4) == CUDA_SUCCESS);
    fill();
  }
  ~Tensors() { api().p_cuMemFree(q_); }
  Tensors(const Tensors&) = delete;
  Tensors& operator=(const Tensors&) = delete;

  void fill() {
    const std::vector<float> ones(kElements, 1.0F);
    REQUIRE(api().p_cuMemcpyHtoD(q_, ones.data(), kElements * 4) == CUDA_SUCCESS);
  }
  LaunchStatus launch(const RopeKernel& kernel, std::int64_t first = 0, CUstream stream = nullptr) const {
    RopeArgs args;
    args.q.data = reinterpret_cast<void*>(q_);
    args.tokens = kTokens;
    args.positions = Positions::start(first);
    return kernel.launch(args, stream);
  }
  bool rotated(std::int64_t first = 0) const {
    std::vector<float> q(kElements);
    if (api().p_cuCtxSynchronize() != CUDA_SUCCESS) return false;
    if (api().p_cuMemcpyDtoH(q.data(), q_, kElements * 4) != CUDA_SUCCESS) return false;
    for (std::int64_t token = 0; token < kTokens; ++token) {
      const auto p = static_cast<double>(first + token);
      const double lane = q[static_cast<std::size_t>(token * kHeads * kDim)];
      if (std::fabs(lane - (std::cos(p) - std::sin(p))) > 1e-6) return false;
    }
    return true;
  }

 private:
  CUdeviceptr q_ = 0;
};

const LaunchForm kForm = LaunchForm::in_place_start();

}  // namespace

TEST_CASE("A kernel made in one context serves another of the same device", "[cuda]") {
  if (!has_gpu()) return;
  for (const OnMiss on_miss : {OnMiss::compile, OnMiss::generic}) {
    const RopeService service(options_of(on_miss));
    const OwnContext first;
    const RopeKernel kernel = service.get(plain_spec(), kForm);
    const Tensors here;
    REQUIRE(here.launch(kernel));
    CHECK(here.rotated());
    {
      const OwnContext second;
      const Tensors there;
      REQUIRE(there.launch(kernel, 7));
      CHECK(there.rotated(7));
    }
    const Tensors again;
    REQUIRE(again.launch(kernel, 9));
    CHECK(again.rotated(9));
  }
}

TEST_CASE("Numbers of a length serve the contexts that a get was made in, and are refused in others", "[cuda]") {
  if (!has_gpu()) return;
  const RopeService service(options_of());
  const OwnContext first;
  const RopeKernel kernel = service.get(spec_that_needs_length(), kForm);
  const Tensors here;
  REQUIRE(here.launch(kernel));
  CHECK(here.rotated());
  {
    const OwnContext second;
    const Tensors there;
    const LaunchStatus status = there.launch(kernel);
    CHECK(status.code == ErrorCode::not_prepared);
    CHECK(status.message().find("context") != std::string::npos);
    // Nothing was broken by it, and a get in this context makes a handle for it.
    const RopeKernel own = service.get(spec_that_needs_length(), kForm);
    REQUIRE(there.launch(own, 3));
    CHECK(there.rotated(3));
  }
  const Tensors again;
  REQUIRE(again.launch(kernel));
  CHECK(again.rotated());
}

TEST_CASE("A context that is destroyed early gives an error or a launch elsewhere, and no crash", "[cuda]") {
  if (!has_gpu()) return;
  const RopeService service(options_of());
  RopeKernel kernel;
  RopeKernel lengthy;
  {
    OwnContext context;
    kernel = service.get(plain_spec(), kForm);
    lengthy = service.get(spec_that_needs_length(), kForm);
    const Tensors tensors;
    REQUIRE(tensors.launch(kernel));
    REQUIRE(tensors.launch(lengthy));
    CHECK(tensors.rotated() == false);  // twice: by 2 p
    context.end();
    // Without any context.
    RopeArgs args;
    float nothing = 0;
    args.q.data = &nothing;
    args.tokens = 1;
    args.positions = Positions::start(0);
    CHECK_FALSE(kernel.launch(args));
  }
  const OwnContext context;
  const Tensors tensors;
  REQUIRE(tensors.launch(kernel, 2));
  CHECK(tensors.rotated(2));
  CHECK_FALSE(tensors.launch(lengthy));
  CHECK(service.get(plain_spec(), kForm));
}

TEST_CASE("The first get may come while a stream is being captured, and its launch be captured", "[cuda]") {
  if (!has_gpu()) return;
  for (const OnMiss on_miss : {OnMiss::compile, OnMiss::generic}) {
    const OwnContext context;
    Tensors tensors;
    CUstream stream = nullptr;
    REQUIRE(api().p_cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
    REQUIRE(api().p_cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
    const RopeKernel kernel = RopeService(options_of(on_miss)).get(plain_spec(), kForm);
    const LaunchStatus status = tensors.launch(kernel, 4, stream);
    CUgraph graph = nullptr;
    REQUIRE(api().p_cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS);
    REQUIRE(status);
    CUgraphExec executable = nullptr;
    REQUIRE(api().p_cuGraphInstantiateWithFlags(&executable, graph, 0) == CUDA_SUCCESS);
    // The handle goes; what the graph holds stays.
    for (int i = 0; i < 3; ++i) {
      tensors.fill();
      REQUIRE(api().p_cuGraphLaunch(executable, stream) == CUDA_SUCCESS);
      REQUIRE(api().p_cuStreamSynchronize(stream) == CUDA_SUCCESS);
      CHECK(tensors.rotated(4));
    }
    api().p_cuGraphExecDestroy(executable);
    api().p_cuGraphDestroy(graph);
    api().p_cuStreamDestroy(stream);
  }
}

TEST_CASE("A child of fork is told that the GPU stays with its parent", "[cuda]") {
  if (!has_gpu()) return;
  const RopeService service(options_of(OnMiss::generic));
  const OwnContext context;
  const RopeKernel kernel = service.get(plain_spec(), kForm);
  const Tensors tensors;
  const auto is_refused = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code() == ErrorCode::device_unavailable;
    }
    return false;
  };
  CHECK(test::in_child([&] {
          // Not by the host in its place, either.
          const RopeService any(options_of(OnMiss::generic, "auto"));
          const RopeService host(options_of(OnMiss::generic, "host"));
          return is_refused([&] { service.get(plain_spec(), kForm); }) &&
                 is_refused([&] { service.wait_for_compiles(1); }) &&
                 is_refused([&] { any.get(plain_spec(), kForm); }) &&
                 static_cast<bool>(host.get(plain_spec(), kForm)) &&
                 tensors.launch(kernel).code == ErrorCode::device_unavailable;
        }) == "");
  CHECK(tensors.launch(kernel, 2));
  CHECK(tensors.rotated(2));
}

TEST_CASE("What a graph holds stays when its service forgets it, and is loaded once however often it is got",
          "[cuda]") {
  if (!has_gpu()) return;
  const OwnContext context;
  Tensors tensors;
  for (const OnMiss on_miss : {OnMiss::compile, OnMiss::generic}) {
    ServiceOptions options = options_of(on_miss);
    options.most_kernels = 1;
    const test::ScratchFolder folder;
    options.cache_dir = folder.path();
    const RopeService service(options);
    CUstream stream = nullptr;
    REQUIRE(api().p_cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
    REQUIRE(api().p_cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
    const LaunchStatus status = tensors.launch(service.get(plain_spec(), kForm), 4, stream);
    CUgraph graph = nullptr;
    REQUIRE(api().p_cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS);
    REQUIRE(status);
    CUgraphExec executable = nullptr;
    REQUIRE(api().p_cuGraphInstantiateWithFlags(&executable, graph, 0) == CUDA_SUCCESS);

    std::size_t free_at_first = 0;
    std::size_t free_at_last = 0;
    std::size_t total = 0;
    for (int i = 0; i < 500; ++i) {
      CHECK(service.forget(plain_spec(), kForm));
      const RopeKernel again = service.get(plain_spec(), kForm);
      if (!tensors.launch(again)) FAIL_CHECK("a launch of a kernel that was got again");
      REQUIRE(api().p_cuCtxSynchronize() == CUDA_SUCCESS);
      if (i == 50) REQUIRE(api().p_cuMemGetInfo(&free_at_first, &total) == CUDA_SUCCESS);
    }
    REQUIRE(api().p_cuMemGetInfo(&free_at_last, &total) == CUDA_SUCCESS);
    // 450 copies of the code would be tens of megabytes; other processes may use the device.
    CHECK(free_at_last + (std::size_t{4} << 20) > free_at_first);
    service.forget_unused();
    tensors.fill();
    REQUIRE(api().p_cuGraphLaunch(executable, stream) == CUDA_SUCCESS);
    REQUIRE(api().p_cuStreamSynchronize(stream) == CUDA_SUCCESS);
    CHECK(tensors.rotated(4));
    api().p_cuGraphExecDestroy(executable);
    api().p_cuGraphDestroy(graph);
    api().p_cuStreamDestroy(stream);
  }
}

TEST_CASE("Numbers on the device go with a kernel that was never launched, and stay once with one that was", "[cuda]") {
  if (!has_gpu()) return;
  const OwnContext context;
  const auto target = internal::cuda_target(0, std::nullopt);
  std::vector<std::uint64_t> numbers(1 << 17);  // a megabyte: beyond what the driver hands out from what it has
  const std::size_t bytes = numbers.size() * sizeof(std::uint64_t);
  const std::size_t before = target->free_bytes();
  for (std::uint64_t i = 0; i < 64; ++i) {
    numbers[0] = i;
    target->constant(numbers.data(), bytes);
  }
  CHECK(target->free_bytes() + (std::size_t{8} << 20) > before);
  const void* first = nullptr;
  for (int i = 0; i < 64; ++i) {
    const internal::DeviceConstant constant = target->constant(numbers.data(), bytes);
    if (constant.launched) constant.launched->store(true);
    if (i == 0) first = constant.data.get();
    CHECK(constant.data.get() == first);
  }
  CHECK(target->free_bytes() + (std::size_t{8} << 20) > before);
}

TEST_CASE("One service serves two GPUs at once, from a thread of each", "[cuda]") {
  if (!has_gpu()) return;
  if (internal::cuda_info().devices < 2) {
    WARN("one GPU here: nothing to try");
    return;
  }
  const RopeService service(options_of());
  const RopeKernel kernel = service.get(plain_spec(), kForm);
  std::vector<int> wrong(2, 0);
  std::vector<std::thread> threads;
  for (int device = 0; device < 2; ++device) {
    threads.emplace_back([&, device] {
      const auto target = internal::cuda_target(device, std::nullopt);
      target->make_current();
      for (int i = 0; i < 500; ++i) {
        Tensors tensors;
        const RopeKernel own = service.get(i % 2 == 0 ? plain_spec() : spec_that_needs_length(), kForm);
        if (!tensors.launch(own, i % 50) || !tensors.rotated(i % 50)) ++wrong[static_cast<std::size_t>(device)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>{0, 0});
}

// Last: the primary context is gone after it.
TEST_CASE("A device that is reset under a service gives errors and not a crash", "[cuda]") {
  if (!has_gpu()) return;
  const auto target = internal::cuda_target(0, std::nullopt);
  target->make_current();
  const RopeService service(options_of());
  const RopeKernel kernel = service.get(plain_spec(), kForm);
  const RopeKernel lengthy = service.get(spec_that_needs_length(), kForm);
  {
    const Tensors tensors;
    REQUIRE(tensors.launch(kernel));
    CHECK(tensors.rotated());
  }
  REQUIRE(driver().primary_reset(0) == 0);
  RopeArgs args;
  float nothing = 0;
  args.q.data = &nothing;
  args.tokens = 1;
  args.positions = Positions::start(0);
  CHECK_FALSE(lengthy.launch(args));
  const LaunchStatus status = kernel.launch(args);
  INFO(status.message());
  api().p_cuCtxSetCurrent(nullptr);
  target->make_current();
  const OwnContext context;
  const Tensors tensors;
  CHECK(tensors.launch(kernel, 6));
  CHECK(tensors.rotated(6));
}
