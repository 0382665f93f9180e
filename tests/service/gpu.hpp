// What tests of a GPU under a service stand on: contexts of their own, tensors whose rotation is known, captured
// launches. All of it is of the current thread and context.
#pragma once

#include <cmath>
#include <cstdint>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/cuda_target.hpp"
#include "cuda/driver_api.hpp"
#include "ropejit/ropejit.hpp"
#include "support/catch.hpp"
#include "support/dynamic_library.hpp"

namespace ropejit::test::gpu {

inline constexpr std::int64_t kHeads = 2;
inline constexpr std::int64_t kDim = 16;
inline constexpr std::int64_t kTokens = 5;
inline constexpr std::size_t kElements = kTokens * kHeads * kDim;

/// What the library itself has no use for.
struct Driver {
  internal::DynamicLibrary library;
  int (*context_create)(CUcontext*, unsigned, CUdevice) = nullptr;
  int (*context_destroy)(CUcontext) = nullptr;
  int (*primary_reset)(CUdevice) = nullptr;
};

inline const Driver& driver() {
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

inline const internal::DriverApi& api() { return internal::require_driver_api(); }

inline bool has_gpu() {
  if (internal::cuda_info().devices > 0) return true;
  WARN("no GPU here: nothing to try");
  return false;
}

inline RopeSpec plain_spec() {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = kDim;
  spec.q = {kHeads, kDim, 0};
  return spec;
}

inline RopeSpec spec_that_needs_length() {
  RopeSpec spec = plain_spec();
  DynamicScaling scaling;
  scaling.factor = 2;
  scaling.max_position_embeddings = 64;
  spec.scaling = scaling;
  return spec;
}

inline ServiceOptions options_of(OnMiss on_miss = OnMiss::compile, const char* device = "cuda:0") {
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

/// A launch that was captured on a stream of its own, as a graph.
class CapturedLaunch {
 public:
  /// launch(stream) is called while the stream is captured; the token that it rotates first is at `first`.
  template <class Launch>
  CapturedLaunch(Tensors& tensors, std::int64_t first, const Launch& launch) : tensors_(tensors), first_(first) {
    REQUIRE(api().p_cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
    REQUIRE(api().p_cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
    const LaunchStatus status = launch(stream_);
    REQUIRE(api().p_cuStreamEndCapture(stream_, &graph_) == CUDA_SUCCESS);
    REQUIRE(status);
    REQUIRE(api().p_cuGraphInstantiateWithFlags(&executable_, graph_, 0) == CUDA_SUCCESS);
  }
  ~CapturedLaunch() {
    api().p_cuGraphExecDestroy(executable_);
    api().p_cuGraphDestroy(graph_);
    api().p_cuStreamDestroy(stream_);
  }
  CapturedLaunch(const CapturedLaunch&) = delete;
  CapturedLaunch& operator=(const CapturedLaunch&) = delete;

  void replay_and_check() const {
    tensors_.fill();
    REQUIRE(api().p_cuGraphLaunch(executable_, stream_) == CUDA_SUCCESS);
    REQUIRE(api().p_cuStreamSynchronize(stream_) == CUDA_SUCCESS);
    CHECK(tensors_.rotated(first_));
  }

 private:
  Tensors& tensors_;
  const std::int64_t first_;
  CUstream stream_ = nullptr;
  CUgraph graph_ = nullptr;
  CUgraphExec executable_ = nullptr;
};

inline const LaunchForm kForm = LaunchForm::in_place_start();

}  // namespace ropejit::test::gpu
