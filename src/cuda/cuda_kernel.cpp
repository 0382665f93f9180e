#include "cuda/cuda_kernel.hpp"

#include <atomic>

#include <fmt/format.h>

#include "codegen/kernel_source.hpp"
#include "cuda/device_graph.hpp"
#include "cuda/relaxed_capture.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

class CudaKernel : public LoadedKernel {
 public:
  CudaKernel(const DriverApi& api, std::string_view image, const KernelSource& source, DeviceTraits device)
      : api_(api), device_(device) {
    const RelaxedCapture relaxed(api);
    CUresult result = api_.p_cuLibraryLoadData(&library_, image.data(), nullptr, nullptr, 0, nullptr, nullptr, 0);
    if (result != CUDA_SUCCESS) refuse("cuLibraryLoadData", source.entry, result);
    result = api_.p_cuLibraryGetKernel(&kernel_, library_, source.entry.c_str());
    if (result == CUDA_SUCCESS) result = settle_in_current_context(source.has_steps);
    if (result != CUDA_SUCCESS) {
      api_.p_cuLibraryUnload(library_);
      refuse("cuLibraryGetKernel", source.entry, result);
    }
  }

  ~CudaKernel() override {
    // A captured graph may hold what was launched, so that stays loaded for the life of the process. Where the driver
    // is shutting down the unload is refused, and there is nothing left to do about it.
    if (!launched_.load(std::memory_order_relaxed)) api_.p_cuLibraryUnload(library_);
  }

  int launch(const LaunchGeometry& geometry, LaunchParams& params, void* stream) const noexcept override {
    if (!launched_.load(std::memory_order_relaxed)) launched_.store(true, std::memory_order_relaxed);
    CUfunction function = nullptr;
    if (!prepare(geometry, params, function)) return kWrongContext;
    void* arguments[] = {&params};
    const auto queue = static_cast<CUstream>(stream);
    if (!geometry.overlaps || !device_.overlaps) {
      return static_cast<int>(
          api_.p_cuLaunchKernel(function, geometry.blocks, 1, 1, geometry.threads, 1, 1, 0, queue, arguments, nullptr));
    }
    CUlaunchAttribute overlaps{};
    overlaps.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    overlaps.value.programmaticStreamSerializationAllowed = 1;
    CUlaunchConfig config{};
    config.gridDimX = geometry.blocks;
    config.gridDimY = config.gridDimZ = 1;
    config.blockDimX = geometry.threads;
    config.blockDimY = config.blockDimZ = 1;
    config.hStream = queue;
    config.attrs = &overlaps;
    config.numAttrs = 1;
    return static_cast<int>(api_.p_cuLaunchKernelEx(&config, function, arguments, nullptr));
  }

  int record(const LaunchGeometry& geometry, LaunchParams& params, Recorder& recorder) const noexcept override {
    CUfunction function = nullptr;
    if (!prepare(geometry, params, function)) return kWrongContext;
    return static_cast<int>(static_cast<GraphRecorder&>(recorder).launch(function, geometry, params));
  }

  std::uint32_t resident_blocks(std::uint32_t threads) const override {
    int blocks = 0;
    const CUresult result = api_.p_cuOccupancyMaxActiveBlocksPerMultiprocessor(
        &blocks, reinterpret_cast<CUfunction>(kernel_), static_cast<int>(threads), 0);
    // Without a current context it cannot be asked: one block each is right, if slower.
    return device_.multiprocessors * (result == CUDA_SUCCESS && blocks > 0 ? static_cast<std::uint32_t>(blocks) : 1);
  }

 private:
  /// What the driver would look up at every launch, of the context that the kernel was loaded in.
  struct Home {
    unsigned long long context = 0;
    CUfunction function = nullptr;
    CUdeviceptr steps = 0;  ///< of the binary, where it has any
  };

  CUresult settle_in_current_context(bool has_steps) {
    const unsigned long long context = current_context_number(api_);
    if (context == 0) return CUDA_SUCCESS;
    CUfunction function = nullptr;
    if (const CUresult result = api_.p_cuKernelGetFunction(&function, kernel_); result != CUDA_SUCCESS) return result;
    home_.context = context;
    home_.function = function;
    std::size_t bytes = 0;
    return has_steps ? api_.p_cuLibraryGetGlobal(&home_.steps, &bytes, library_, kStepsSymbol) : CUDA_SUCCESS;
  }

  /// The function to launch, and the steps' address where it is known. False where the launch's own steps are
  /// elsewhere.
  bool prepare(const LaunchGeometry& geometry, LaunchParams& params, CUfunction& function) const noexcept {
    const unsigned long long context = current_context_number(api_);
    if (geometry.context != 0 && geometry.context != context) return false;
    if (context == home_.context && home_.function != nullptr) {
      function = home_.function;
      if (home_.steps != 0) params.steps = reinterpret_cast<const unsigned long long*>(home_.steps);
    } else {
      // The driver takes a CUkernel too, and finds its function in the current context.
      function = reinterpret_cast<CUfunction>(kernel_);
    }
    return true;
  }

  [[noreturn]] void refuse(const char* call, const std::string& entry, CUresult result) const {
    throw Error(ErrorCode::load_failed, "load",
                fmt::format("{} of {}: {}", call, entry, driver_error_text(api_, result)));
  }

  const DriverApi& api_;
  const DeviceTraits device_;
  CUlibrary library_ = nullptr;
  CUkernel kernel_ = nullptr;
  Home home_;
  mutable std::atomic<bool> launched_ = false;
};

}  // namespace

std::shared_ptr<const LoadedKernel> load_cuda_kernel(const DriverApi& api, std::string_view image,
                                                     const KernelSource& source, DeviceTraits device) {
  return std::make_shared<CudaKernel>(api, image, source, device);
}

}  // namespace ropejit::internal
