#include "cuda/cuda_kernel.hpp"

#include <atomic>
#include <optional>

#include <fmt/format.h>

#include "codegen/kernel_source.hpp"
#include "cuda/device_graph.hpp"
#include "cuda/kept_libraries.hpp"
#include "cuda/relaxed_capture.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

class CudaKernel : public LoadedKernel {
 public:
  CudaKernel(const DriverApi& api, std::string_view image, const KernelSource& source, DeviceTraits device)
      : api_(api), device_(device), key_(library_key(image, source.entry)) {
    const RelaxedCapture relaxed(api);
    if (const std::optional<LoadedLibrary> kept = kept_libraries().find(key_)) {
      loaded_ = *kept;
      is_kept_ = true;
      if (settle_in_current_context(source.has_steps) == CUDA_SUCCESS) return;
      // Lost with its device, which was reset: loaded as if it had not been there.
      is_kept_ = false;
      home_ = {};
    }
    CUresult result =
        api_.p_cuLibraryLoadData(&loaded_.library, image.data(), nullptr, nullptr, 0, nullptr, nullptr, 0);
    if (result != CUDA_SUCCESS) refuse("cuLibraryLoadData", source.entry, result);
    result = api_.p_cuLibraryGetKernel(&loaded_.kernel, loaded_.library, source.entry.c_str());
    if (result == CUDA_SUCCESS) result = settle_in_current_context(source.has_steps);
    if (result != CUDA_SUCCESS) {
      api_.p_cuLibraryUnload(loaded_.library);
      refuse("cuLibraryGetKernel", source.entry, result);
    }
  }

  ~CudaKernel() override {
    if (!api_.is_of_this_process()) return;
    // A captured graph may hold what was launched, so that stays loaded for the life of the process. Where the driver
    // is shutting down the unload is refused, and there is nothing left to do about it.
    if (CudaKernel::was_launched()) {
      kept_libraries().keep(key_, loaded_);
    } else if (!is_kept_) {
      api_.p_cuLibraryUnload(loaded_.library);
    }
  }

  bool was_launched() const noexcept override { return launched_.load(std::memory_order_relaxed); }

  int launch(const LaunchGeometry& geometry, LaunchParams& params, void* stream) const noexcept override {
    if (!launched_.load(std::memory_order_relaxed)) launched_.store(true, std::memory_order_relaxed);
    CUfunction function = nullptr;
    if (!prepare(geometry, params, function)) return refused(kWrongContext);
    void* arguments[] = {&params};
    const auto queue = static_cast<CUstream>(stream);
    if (!geometry.overlaps || !device_.overlaps) {
      const CUresult result =
          api_.p_cuLaunchKernel(function, geometry.blocks, 1, 1, geometry.threads, 1, 1, 0, queue, arguments, nullptr);
      return result == CUDA_SUCCESS ? 0 : refused(static_cast<int>(result));
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
    const CUresult result = api_.p_cuLaunchKernelEx(&config, function, arguments, nullptr);
    return result == CUDA_SUCCESS ? 0 : refused(static_cast<int>(result));
  }

  int record(const LaunchGeometry& geometry, LaunchParams& params, Recorder& recorder) const noexcept override {
    CUfunction function = nullptr;
    if (!prepare(geometry, params, function)) return kWrongContext;
    return static_cast<int>(static_cast<GraphRecorder&>(recorder).launch(function, geometry, params));
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
    if (const CUresult result = api_.p_cuKernelGetFunction(&function, loaded_.kernel); result != CUDA_SUCCESS)
      return result;
    home_.context = context;
    home_.function = function;
    std::size_t bytes = 0;
    return has_steps ? api_.p_cuLibraryGetGlobal(&home_.steps, &bytes, loaded_.library, kStepsSymbol) : CUDA_SUCCESS;
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
      function = reinterpret_cast<CUfunction>(loaded_.kernel);
    }
    return true;
  }

  /// Why a launch was refused, where it is known better.
  int refused(int result) const noexcept { return api_.is_of_this_process() ? result : kOtherProcess; }

  [[noreturn]] void refuse(const char* call, const std::string& entry, CUresult result) const {
    throw Error(ErrorCode::load_failed, "load",
                fmt::format("{} of {}: {}", call, entry, driver_error_text(api_, result)));
  }

  const DriverApi& api_;
  const DeviceTraits device_;
  const std::string key_;
  LoadedLibrary loaded_;
  bool is_kept_ = false;  ///< it was there, launched by another
  Home home_;
  mutable std::atomic<bool> launched_ = false;
};

}  // namespace

std::shared_ptr<const LoadedKernel> load_cuda_kernel(const DriverApi& api, std::string_view image,
                                                     const KernelSource& source, DeviceTraits device) {
  return std::make_shared<CudaKernel>(api, image, source, device);
}

}  // namespace ropejit::internal
