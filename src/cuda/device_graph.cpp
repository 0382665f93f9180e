#include "cuda/device_graph.hpp"

#include <utility>

#include "launch_params.cuh"

namespace ropejit::internal {

CUgraph DeviceGraph::captured(const DriverApi& api, const std::function<void(void* stream)>& queue) {
  CUstream stream = nullptr;
  CUgraph graph = nullptr;
  check_driver(api, api.p_cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  const struct Destroy {
    const DriverApi& api;
    CUstream stream;
    ~Destroy() { api.p_cuStreamDestroy(stream); }
  } destroy{api, stream};
  check_driver(api, api.p_cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  try {
    queue(stream);
  } catch (...) {
    if (api.p_cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS) api.p_cuGraphDestroy(graph);
    throw;
  }
  check_driver(api, api.p_cuStreamEndCapture(stream, &graph), "cuStreamEndCapture");
  return graph;
}

DeviceGraph::DeviceGraph(const DriverApi& api, CUgraph graph) : api_(api), graph_(graph) {
  try {
    check_driver(api_, api_.p_cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    check_driver(api_, api_.p_cuGraphInstantiateWithFlags(&executable_, graph_, 0), "cuGraphInstantiate");
  } catch (...) {
    release();
    throw;
  }
}

DeviceGraph::~DeviceGraph() { release(); }

void DeviceGraph::release() {
  if (executable_ != nullptr) api_.p_cuGraphExecDestroy(executable_);
  if (graph_ != nullptr) api_.p_cuGraphDestroy(graph_);
  if (stream_ != nullptr) api_.p_cuStreamDestroy(stream_);
}

void DeviceGraph::replay() const { check_driver(api_, api_.p_cuGraphLaunch(executable_, stream_), "cuGraphLaunch"); }

GraphRecorder::GraphRecorder(const DriverApi& api) : api_(api) {
  check_driver(api_, api_.p_cuGraphCreate(&graph_, 0), "cuGraphCreate");
}

GraphRecorder::~GraphRecorder() {
  if (graph_ != nullptr) api_.p_cuGraphDestroy(graph_);
}

CUresult GraphRecorder::launch(CUfunction function, const LaunchGeometry& geometry, LaunchParams& params) noexcept {
  void* arguments[] = {&params};
  CUDA_KERNEL_NODE_PARAMS node{};
  node.func = function;
  node.gridDimX = geometry.blocks;
  node.gridDimY = node.gridDimZ = 1;
  node.blockDimX = geometry.threads;
  node.blockDimY = node.blockDimZ = 1;
  node.kernelParams = arguments;
  CUgraphNode added = nullptr;
  const CUresult result =
      api_.p_cuGraphAddKernelNode(&added, graph_, last_ == nullptr ? nullptr : &last_, last_ == nullptr ? 0 : 1, &node);
  if (result == CUDA_SUCCESS) last_ = added;
  return result;
}

void GraphRecorder::copy(void* to, const void* from, std::size_t bytes) {
  CUcontext current = nullptr;
  check_driver(api_, api_.p_cuCtxGetCurrent(&current), "cuCtxGetCurrent");
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = reinterpret_cast<CUdeviceptr>(from);
  copy.dstDevice = reinterpret_cast<CUdeviceptr>(to);
  copy.WidthInBytes = bytes;
  copy.Height = copy.Depth = 1;
  CUgraphNode added = nullptr;
  check_driver(api_,
               api_.p_cuGraphAddMemcpyNode(&added, graph_, last_ == nullptr ? nullptr : &last_,
                                           last_ == nullptr ? 0 : 1, &copy, current),
               "cuGraphAddMemcpyNode");
  last_ = added;
}

CUgraph GraphRecorder::take() { return std::exchange(graph_, nullptr); }

}  // namespace ropejit::internal
