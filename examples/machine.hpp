// What the decoder has of a machine: memory, a stream and a graph, of the first GPU or else of the host. The CUDA
// driver is found at run time, so this builds where there is none; cuda.h is needed.
#pragma once

#include <cuda.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// clang-format off
#define DRIVER(X)                                                                                                      \
  X(cuInit) X(cuDeviceGet) X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease) X(cuCtxSetCurrent) X(cuMemAlloc)   \
  X(cuMemFree) X(cuMemcpyHtoD) X(cuMemcpyDtoH) X(cuStreamCreate) X(cuStreamDestroy) X(cuStreamBeginCapture)            \
  X(cuStreamEndCapture) X(cuGraphInstantiateWithFlags) X(cuGraphLaunch) X(cuGraphExecDestroy) X(cuGraphDestroy)
// clang-format on
// cuda.h's macros give some functions another name, so an argument is replaced before it is made text.
#define TEXT(name) #name
#define MEMBER(name) decltype(&::name) name;
#define LOAD(name) driver_.name = reinterpret_cast<decltype(&::name)>(dlsym(library, TEXT(name)));
#define IS_THERE(name) &&driver_.name != nullptr

inline void check(CUresult result) {
  if (result != CUDA_SUCCESS) throw std::runtime_error("the CUDA driver says " + std::to_string(result));
}

// Memory, one stream and one graph: of the first GPU, else of the host.
class Machine {
 public:
  Machine() {
    void* const library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) return;
    DRIVER(LOAD)
    if (!(true DRIVER(IS_THERE)) || driver_.cuInit(0) != CUDA_SUCCESS) return;
    if (driver_.cuDeviceGet(&device_, 0) != CUDA_SUCCESS) return;
    check(driver_.cuDevicePrimaryCtxRetain(&context_, device_));
    check(driver_.cuCtxSetCurrent(context_));
    check(driver_.cuStreamCreate(&stream_, CU_STREAM_DEFAULT));  // it and the copies below wait for each other
  }
  ~Machine() {
    if (!has_gpu()) return;
    if (graph_ != nullptr) driver_.cuGraphExecDestroy(graph_);
    for (const CUdeviceptr memory : memory_) driver_.cuMemFree(memory);
    if (stream_ != nullptr) driver_.cuStreamDestroy(stream_);
    driver_.cuDevicePrimaryCtxRelease(device_);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  bool has_gpu() const { return context_ != nullptr; }
  void* stream() const { return stream_; }

  template <class T>
  T* allocate(std::size_t count) {
    if (!has_gpu()) {
      host_.push_back(std::make_unique<std::int64_t[]>(count * sizeof(T) / sizeof(std::int64_t) + 1));
      return reinterpret_cast<T*>(host_.back().get());
    }
    memory_.emplace_back();
    check(driver_.cuMemAlloc(&memory_.back(), count * sizeof(T)));
    return reinterpret_cast<T*>(memory_.back());
  }
  template <class T>
  void upload(T* to, const std::vector<T>& from) {
    if (!has_gpu()) return static_cast<void>(std::copy(from.begin(), from.end(), to));
    check(driver_.cuMemcpyHtoD(reinterpret_cast<CUdeviceptr>(to), from.data(), from.size() * sizeof(T)));
  }
  template <class T>
  std::vector<T> download(const T* from, std::size_t count) {
    if (!has_gpu()) return {from, from + count};
    std::vector<T> to(count);
    check(driver_.cuMemcpyDtoH(to.data(), reinterpret_cast<CUdeviceptr>(from), count * sizeof(T)));
    return to;
  }

  // For replay() to do: what `launches` queues is captured once; the host calls it each time.
  void capture(std::function<void()> launches) {
    launches_ = std::move(launches);
    if (!has_gpu()) return;
    CUgraph graph = nullptr;
    check(driver_.cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    launches_();
    check(driver_.cuStreamEndCapture(stream_, &graph));
    check(driver_.cuGraphInstantiateWithFlags(&graph_, graph, 0));
    check(driver_.cuGraphDestroy(graph));
  }
  void replay() { has_gpu() ? check(driver_.cuGraphLaunch(graph_, stream_)) : launches_(); }

 private:
  struct {
    DRIVER(MEMBER)
  } driver_{};
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  CUgraphExec graph_ = nullptr;
  std::vector<CUdeviceptr> memory_;
  std::vector<std::unique_ptr<std::int64_t[]>> host_;
  std::function<void()> launches_;
};

#undef DRIVER
#undef TEXT
#undef MEMBER
#undef LOAD
#undef IS_THERE
