#include "cuda/cuda_kernel.hpp"

#include <atomic>

#include <fmt/format.h>

#include "cuda/relaxed_capture.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

class CudaKernel : public LoadedKernel {
 public:
  CudaKernel(const DriverApi& api, std::string_view image, const std::string& entry) : api_(api) {
    const RelaxedCapture relaxed(api);
    CUresult result = api_.p_cuLibraryLoadData(&library_, image.data(), nullptr, nullptr, 0, nullptr, nullptr, 0);
    if (result != CUDA_SUCCESS) refuse("cuLibraryLoadData", entry, result);
    result = api_.p_cuLibraryGetKernel(&kernel_, library_, entry.c_str());
    if (result == CUDA_SUCCESS) result = bring_into_current_context();
    if (result != CUDA_SUCCESS) {
      api_.p_cuLibraryUnload(library_);
      refuse("cuLibraryGetKernel", entry, result);
    }
  }

  ~CudaKernel() override {
    // A captured graph may hold what was launched, so that stays loaded for the life of the process. Where the driver
    // is shutting down the unload is refused, and there is nothing left to do about it.
    if (!launched_.load(std::memory_order_relaxed)) api_.p_cuLibraryUnload(library_);
  }

  int launch(const LaunchGeometry& geometry, const LaunchParams& params, void* stream) const noexcept override {
    if (!launched_.load(std::memory_order_relaxed)) launched_.store(true, std::memory_order_relaxed);
    void* arguments[] = {const_cast<LaunchParams*>(&params)};
    // The driver takes a CUkernel here and finds its function in the current context.
    return static_cast<int>(api_.p_cuLaunchKernel(reinterpret_cast<CUfunction>(kernel_), geometry.grid_x,
                                                  geometry.grid_y, 1, geometry.threads, 1, 1, 0,
                                                  static_cast<CUstream>(stream), arguments, nullptr));
  }

 private:
  CUresult bring_into_current_context() {
    CUcontext current = nullptr;
    if (api_.p_cuCtxGetCurrent(&current) != CUDA_SUCCESS || current == nullptr) return CUDA_SUCCESS;
    CUfunction function = nullptr;
    return api_.p_cuKernelGetFunction(&function, kernel_);
  }

  [[noreturn]] void refuse(const char* call, const std::string& entry, CUresult result) const {
    throw Error(ErrorCode::load_failed, "load",
                fmt::format("{} of {}: {}", call, entry, driver_error_text(api_, result)));
  }

  const DriverApi& api_;
  CUlibrary library_ = nullptr;
  CUkernel kernel_ = nullptr;
  mutable std::atomic<bool> launched_ = false;
};

}  // namespace

std::shared_ptr<const LoadedKernel> load_cuda_kernel(const DriverApi& api, std::string_view image,
                                                     const std::string& entry) {
  return std::make_shared<CudaKernel>(api, image, entry);
}

}  // namespace ropejit::internal
