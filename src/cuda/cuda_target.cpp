#include "cuda/cuda_target.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "cuda/cuda_kernel.hpp"
#include "cuda/device_graph.hpp"
#include "cuda/device_timer.hpp"
#include "cuda/driver_api.hpp"
#include "cuda/kept_constants.hpp"
#include "cuda/nvrtc_target.hpp"
#include "cuda/relaxed_capture.hpp"
#include "ropejit/error.hpp"
#include "support/per_process.hpp"

namespace ropejit::internal {
namespace {

class CudaReplay final : public Replay {
 public:
  /// Takes the graph over.
  CudaReplay(const DriverApi& api, CUgraph graph, int launches)
      : graph_(api, graph), before_(api), after_(api), launches_(launches) {
    us();
  }

  double us() override {
    before_.record(graph_.stream());
    graph_.replay();
    after_.record(graph_.stream());
    return after_.us_since(before_) / launches_;
  }

 private:
  const DeviceGraph graph_;
  const Event before_;
  const Event after_;
  const int launches_;
};

class CudaTarget : public Target {
 public:
  CudaTarget(int ordinal, const std::optional<std::string>& nvrtc) : api_(require_driver_api()) {
    int count = 0;
    check(api_.p_cuDeviceGetCount(&count), "cuDeviceGetCount");
    if (ordinal < 0 || ordinal >= count) {
      throw Error(ErrorCode::device_unavailable, "device",
                  count == 0 ? fmt::format("device: found cuda:{}, but the driver shows no device", ordinal)
                             : fmt::format("device: found cuda:{}, allowed: cuda:0 to cuda:{}", ordinal, count - 1));
    }
    check(api_.p_cuDeviceGet(&device_, ordinal), "cuDeviceGet");
    char name[256] = {};
    check(api_.p_cuDeviceGetName(name, sizeof name, device_), "cuDeviceGetName");
    name_ = name;
    major_ = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    build_ = nvrtc_build_target(fmt::format("sm_{}{}", major_, attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)),
                                nvrtc);
    multiprocessors_ = static_cast<std::uint32_t>(attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT));
    memory_.clock_mhz = static_cast<std::uint32_t>(attribute(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE) / 1000);
    memory_.bus_bits = static_cast<std::uint32_t>(attribute(CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH));
    memory_.l2_bytes = static_cast<std::uint64_t>(attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE));
  }

  ~CudaTarget() override {
    const bool is_retained = primary_.with([](CUcontext& primary) { return primary != nullptr; });
    if (is_retained) api_.p_cuDevicePrimaryCtxRelease(device_);
  }

  const std::string& name() const override { return name_; }
  const std::string& arch() const override { return build_->arch(); }
  std::uint32_t multiprocessors() const override { return multiprocessors_; }
  MemoryTraits memory() const override { return memory_; }
  const std::string& recipe() const override { return build_->recipe(); }
  const Compiler& compiler() const override { return build_->compiler(); }

  std::uint64_t current_context() const noexcept override { return current_context_number(api_); }

  std::shared_ptr<const LoadedKernel> load(std::string_view image, const KernelSource& source) const override {
    refuse_child();
    return load_cuda_kernel(api_, image, source, {multiprocessors_, major_ >= 9});
  }

  void make_current() const override {
    refuse_child();
    const CUcontext context = primary_.with([this](CUcontext& primary) {
      if (primary == nullptr) check(api_.p_cuDevicePrimaryCtxRetain(&primary, device_), "cuDevicePrimaryCtxRetain");
      return primary;
    });
    check(api_.p_cuCtxSetCurrent(context), "cuCtxSetCurrent");
  }

  DeviceConstant constant(const void* from, std::size_t bytes) const override {
    refuse_child();
    CUcontext current = nullptr;
    check(api_.p_cuCtxGetCurrent(&current), "cuCtxGetCurrent");
    if (current != nullptr) return kept_copy(from, bytes);
    make_current();
    const struct Restore {
      const DriverApi& api;
      ~Restore() { api.p_cuCtxSetCurrent(nullptr); }
    } restore{api_};
    return kept_copy(from, bytes);
  }

  DeviceBuffer allocate(std::size_t bytes) const override {
    refuse_child();
    const RelaxedCapture relaxed(api_);
    CUdeviceptr pointer = 0;
    check(api_.p_cuMemAlloc(&pointer, std::max<std::size_t>(bytes, 1)), "cuMemAlloc");
    const DriverApi& api = api_;
    return {reinterpret_cast<void*>(pointer), [&api](void* data) {
              if (api.is_of_this_process()) api.p_cuMemFree(reinterpret_cast<CUdeviceptr>(data));
            }};
  }
  void upload(void* to, const void* from, std::size_t bytes) const override {
    check(api_.p_cuMemcpyHtoD(reinterpret_cast<CUdeviceptr>(to), from, bytes), "cuMemcpyHtoD");
  }
  void download(void* to, const void* from, std::size_t bytes) const override {
    check(api_.p_cuMemcpyDtoH(to, reinterpret_cast<CUdeviceptr>(from), bytes), "cuMemcpyDtoH");
  }
  void synchronize() const override { check(api_.p_cuCtxSynchronize(), "cuCtxSynchronize"); }
  std::size_t free_bytes() const override {
    std::size_t free = 0;
    std::size_t total = 0;
    check(api_.p_cuMemGetInfo(&free, &total), "cuMemGetInfo");
    return free;
  }
  void upload_aside(void* to, const void* from, std::size_t bytes) const override {
    aside([&](CUstream stream) {
      return api_.p_cuMemcpyHtoDAsync(reinterpret_cast<CUdeviceptr>(to), from, bytes, stream);
    });
  }
  void download_aside(void* to, const void* from, std::size_t bytes) const override {
    aside([&](CUstream stream) {
      return api_.p_cuMemcpyDtoHAsync(to, reinterpret_cast<CUdeviceptr>(from), bytes, stream);
    });
  }
  bool is_capturing() const noexcept override {
    // The default stream cannot be captured: an error says that one that it waits for is.
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    return api_.p_cuStreamIsCapturing(CU_STREAM_LEGACY, &status) == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  void copy(void* to, const void* from, std::size_t bytes, void* stream) const override {
    check(api_.p_cuMemcpyDtoDAsync(reinterpret_cast<CUdeviceptr>(to), reinterpret_cast<CUdeviceptr>(from), bytes,
                                   static_cast<CUstream>(stream)),
          "cuMemcpyDtoDAsync");
  }

  double time_us(const std::function<void()>& launch, int repeats) const override {
    launch();
    return median_us(api_, nullptr, launch, repeats);
  }
  std::unique_ptr<Replay> capture(std::function<void(void* stream, int i)> launch, int launches) const override {
    const RelaxedCapture relaxed(api_);
    CUgraph graph = DeviceGraph::captured(api_, [&](void* stream) {
      for (int i = 0; i < launches; ++i) launch(stream, i);
    });
    return std::make_unique<CudaReplay>(api_, graph, launches);
  }
  std::unique_ptr<Replay> record(std::function<void(Recorder& recorder, int i)> fill, int launches) const override {
    const RelaxedCapture relaxed(api_);
    GraphRecorder recorder(api_);
    for (int i = 0; i < launches; ++i) fill(recorder, i);
    return std::make_unique<CudaReplay>(api_, recorder.take(), launches);
  }

 private:
  // Queues by a stream of its own and waits for it: the default one would wait for streams that are being captured,
  // which ends their capture.
  template <class Queue>
  void aside(const Queue& queue) const {
    const RelaxedCapture relaxed(api_);
    CUstream stream = nullptr;
    check(api_.p_cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    CUresult result = queue(stream);
    if (result == CUDA_SUCCESS) result = api_.p_cuStreamSynchronize(stream);
    api_.p_cuStreamDestroy(stream);
    check(result, "cuMemcpyAsync, cuStreamSynchronize");
  }

  DeviceConstant kept_copy(const void* from, std::size_t bytes) const {
    const RelaxedCapture relaxed(api_);
    const ConstantKey key{current_context(), std::string(static_cast<const char*>(from), bytes)};
    if (const CUdeviceptr kept = kept_constants().find(api_, key)) {
      return {{reinterpret_cast<const void*>(kept), [](const void*) {}}, key.context, nullptr};
    }
    CUdeviceptr copy = 0;
    check(api_.p_cuMemAlloc(&copy, std::max<std::size_t>(bytes, 1)), "cuMemAlloc");
    try {
      aside([&](CUstream stream) { return api_.p_cuMemcpyHtoDAsync(copy, from, bytes, stream); });
    } catch (...) {
      api_.p_cuMemFree(copy);
      throw;
    }
    auto launched = std::make_shared<std::atomic<bool>>(false);
    const auto release = [&api = api_, key, launched](const void* data) {
      kept_constants().release(api, key, reinterpret_cast<CUdeviceptr>(data), launched->load());
    };
    return {{reinterpret_cast<const void*>(copy), release}, key.context, launched};
  }

  void refuse_child() const {
    if (!api_.is_of_this_process()) throw Error(ErrorCode::device_unavailable, "device", kForked);
  }

  int attribute(CUdevice_attribute which) const {
    int value = 0;
    check(api_.p_cuDeviceGetAttribute(&value, which, device_), "cuDeviceGetAttribute");
    return value;
  }

  void check(CUresult result, const char* call) const { check_driver(api_, result, call); }

  const DriverApi& api_;
  CUdevice device_ = 0;
  std::string name_;
  std::shared_ptr<const BuildTarget> build_;
  std::uint32_t multiprocessors_ = 0;
  MemoryTraits memory_;
  int major_ = 0;
  PerProcess<CUcontext> primary_;  ///< none in a child of fork, which leaves its parent's alone
};

}  // namespace

CudaInfo cuda_info() {
  CudaInfo info;
  DriverProblem problem;
  const DriverApi* api = driver_api(problem);
  info.problem = std::move(problem.text);
  info.short_of_descriptors = problem.short_of_descriptors;
  info.is_forked = info.problem == kForked;
  if (api == nullptr) return info;
  int version = 0;
  if (api->p_cuDriverGetVersion(&version) == CUDA_SUCCESS) {
    info.driver = fmt::format("{}.{}", version / 1000, version % 1000 / 10);
  }
  if (api->p_cuDeviceGetCount(&info.devices) != CUDA_SUCCESS || info.devices == 0) {
    info.devices = 0;
    info.problem = "the CUDA driver shows no device";
  }
  return info;
}

std::shared_ptr<const Target> cuda_target(int ordinal, const std::optional<std::string>& nvrtc) {
  return std::make_shared<CudaTarget>(ordinal, nvrtc);
}

}  // namespace ropejit::internal
