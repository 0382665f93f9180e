// CUDA graphs: captured from a stream, or recorded node by node; instantiated once and replayed on a stream of their
// own. Use the current context.
#pragma once

#include <cstddef>
#include <functional>

#include "cuda/driver_api.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

/// A graph that can be replayed. It can neither be moved nor copied.
class DeviceGraph {
 public:
  /// Captures what `queue` queues on the stream it is given. Throws Error where the capture fails.
  static CUgraph captured(const DriverApi& api, const std::function<void(void* stream)>& queue);

  /// Takes `graph` over, whether or not it throws.
  DeviceGraph(const DriverApi& api, CUgraph graph);
  ~DeviceGraph();
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;

  void replay() const;
  CUstream stream() const { return stream_; }

 private:
  void release();

  const DriverApi& api_;
  CUstream stream_ = nullptr;
  CUgraph graph_ = nullptr;
  CUgraphExec executable_ = nullptr;
};

/// A graph of nodes one after another.
class GraphRecorder : public Recorder {
 public:
  explicit GraphRecorder(const DriverApi& api);
  ~GraphRecorder() override;
  GraphRecorder(const GraphRecorder&) = delete;
  GraphRecorder& operator=(const GraphRecorder&) = delete;

  /// `function` in the current context.
  CUresult launch(CUfunction function, const LaunchGeometry& geometry, LaunchParams& params) noexcept;
  void copy(void* to, const void* from, std::size_t bytes) override;

  /// Hands the graph over; the recorder is empty then.
  CUgraph take();

 private:
  const DriverApi& api_;
  CUgraph graph_ = nullptr;
  CUgraphNode last_ = nullptr;
};

}  // namespace ropejit::internal
