// Target: a place where generated source becomes a kernel that runs. Two exist: the CUDA driver with NVRTC
// (src/cuda) and the system's C++ compiler (src/host). The service, the command line and the tests see this alone.
// BuildTarget is the part of it that needs no device: enough to make binaries and the keys they are kept under.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "codegen/kernel_source.hpp"

namespace ropejit {
struct LaunchParams;  // templates/launch_params.cuh: what a kernel takes, by value
}

namespace ropejit::internal {

/// The binary that a compiler made. `image` is a cubin or a shared object.
struct CompiledBinary {
  std::string image;
  std::string compiler;  ///< "NVRTC 13.0", "g++ (Debian 12.2.0-14) 12.2.0": metadata, never part of a key
  int registers = -1;    ///< what a thread takes; -1: not known
  int spill_bytes = -1;  ///< stores and loads together; -1: not known
  int stack_bytes = -1;  ///< local memory of a thread; -1: not known
  double compile_ms = 0;
};

struct LaunchGeometry {
  std::uint32_t blocks = 1;
  std::uint32_t threads = 1;  ///< of a block
  /// Whether it may begin while the launch before it on the stream is ending (programmatic dependent launch): the
  /// kernel itself waits for that one's memory. A device that cannot do so launches as ever.
  bool overlaps = false;
  /// Where it is not 0, the context that the launch's steps are in the memory of (DeviceConstant). A launch in another
  /// one is refused: it would read what is not there, which ends a context.
  std::uint64_t context = 0;
};

/// Where launches and copies are written down, in order, to be run later (Target::record). Each target has its own.
class Recorder {
 public:
  virtual ~Recorder() = default;
  /// Copies device memory. Throws Error.
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
};

/// A loaded entry. Owns what it needs (module, library handle). launch is thread-safe.
class LoadedKernel {
 public:
  LoadedKernel() = default;
  LoadedKernel(const LoadedKernel&) = delete;
  LoadedKernel& operator=(const LoadedKernel&) = delete;
  virtual ~LoadedKernel() = default;

  /// Queues the kernel; 0, the driver's error number, kWrongContext or kOtherProcess. No allocation (host target: its
  /// fibers' stacks), no lock. Adds to `params` what only it knows: where the binary's own steps are.
  virtual int launch(const LaunchGeometry& geometry, LaunchParams& params, void* stream) const noexcept = 0;

  /// Does as launch does, into a recorder of the same target. Nothing of it overlaps (LaunchGeometry::overlaps). What
  /// was only ever recorded may be unloaded again.
  virtual int record(const LaunchGeometry& geometry, LaunchParams& params, Recorder& recorder) const noexcept = 0;

  /// Whether a captured graph may hold what launches of it were given.
  virtual bool was_launched() const noexcept { return false; }
};

/// Turns source into a binary for one architecture. Needs no device.
class Compiler {
 public:
  virtual ~Compiler() = default;
  /// Throws Error{compile_failed} with the log.
  virtual CompiledBinary compile(const KernelSource& source) const = 0;
};

/// Memory of a device, for programs that have no allocator of their own: the command line, tests, the tuner.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(void* data, std::function<void(void*)> release) : data_(data, std::move(release)) {}
  void* data() const { return data_.get(); }

 private:
  std::shared_ptr<void> data_;
};

/// Launches that were queued once, to be timed as often as wanted. Belongs to the context it was made in.
class Replay {
 public:
  Replay() = default;
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  virtual ~Replay() = default;

  /// Runs all of them, waits, and returns what one took on the device, microseconds. Throws Error.
  virtual double us() = 0;
};

/// What a launch comes to whose steps are in another context's memory. Negative: no driver's.
inline constexpr int kWrongContext = -1;
/// What a launch comes to in a child of fork, whose parent has the device.
inline constexpr int kOtherProcess = -2;

/// Bytes in a device's memory, for kernels to read.
struct DeviceConstant {
  std::shared_ptr<const void> data;
  std::uint64_t context = 0;  ///< the number of the context that can read them; 0: any
  /// True where a launch was given them, so that a captured graph may hold them: they stay for the rest of the process.
  /// Null where that makes no difference.
  std::shared_ptr<std::atomic<bool>> launched = {};
};

/// What of a device's memory decides how kernels are best cut. 0: not known.
struct MemoryTraits {
  std::uint32_t clock_mhz = 0;
  std::uint32_t bus_bits = 0;
  std::uint64_t l2_bytes = 0;
};

/// What binaries are made for: an architecture and its compiler. Needs no device and no driver. Thread-safe.
class BuildTarget {
 public:
  BuildTarget() = default;
  BuildTarget(const BuildTarget&) = delete;
  BuildTarget& operator=(const BuildTarget&) = delete;
  virtual ~BuildTarget() = default;

  virtual const std::string& arch() const = 0;  ///< "sm_90", "host-x86_64"
  /// What besides the source decides the compiled bits (options, not versions), in one line: part of every key.
  virtual const std::string& recipe() const = 0;
  /// The compiler for arch(), loaded at the first call: the warm path never asks for it. Throws Error.
  virtual const Compiler& compiler() const = 0;
};

/// A device and its compiler. Thread-safe. In a child of fork that of a GPU refuses with device_unavailable.
class Target : public BuildTarget {
 public:
  virtual const std::string& name() const = 0;  ///< "NVIDIA H100 80GB HBM3", "host"
  virtual std::uint32_t multiprocessors() const = 0;
  virtual MemoryTraits memory() const = 0;

  /// The number of the context that is current on this thread, by which DeviceConstant::context goes; 0 where there is
  /// none. Numbers are not used again.
  virtual std::uint64_t current_context() const noexcept { return 0; }

  /// The image that was compiled from `source`, whose text is not read. Throws Error{load_failed} where the driver or
  /// dlopen refuses it.
  virtual std::shared_ptr<const LoadedKernel> load(std::string_view image, const KernelSource& source) const = 0;

  /// A copy of `bytes` bytes in the device's memory, for kernels to read, there when it returns. On a GPU in the
  /// current context's memory, or where there is none in the primary context's. It goes with its last owner unless it
  /// was launched; what stays is given again for equal bytes. Throws Error.
  virtual DeviceConstant constant(const void* from, std::size_t bytes) const = 0;

  // For programs without a runtime of their own. All throw Error.
  virtual void make_current() const = 0;  ///< bind the device to this thread (its primary context)
  virtual DeviceBuffer allocate(std::size_t bytes) const = 0;
  virtual void upload(void* to, const void* from, std::size_t bytes) const = 0;
  virtual void download(void* to, const void* from, std::size_t bytes) const = 0;
  virtual void synchronize() const = 0;
  virtual std::size_t free_bytes() const = 0;  ///< bytes that allocate could still give

  // Beside a runtime's own work. These work on a stream of their own, which neither waits for others nor keeps them
  // waiting, and leaves streams that are being captured alone; done when they return.
  virtual void upload_aside(void* to, const void* from, std::size_t bytes) const = 0;
  virtual void download_aside(void* to, const void* from, std::size_t bytes) const = 0;
  /// Whether a stream of the current context is seen to be captured into a graph. Of streams that do not wait for the
  /// default one (CU_STREAM_NON_BLOCKING) nobody can see it.
  virtual bool is_capturing() const noexcept = 0;
  /// Queues a copy from one place of the device's memory to another, by whatever the driver has for that. May be
  /// captured.
  virtual void copy(void* to, const void* from, std::size_t bytes, void* stream) const = 0;
  /// Runs `launch` once to warm up and then `repeats` times, each timed on the device: median, microseconds. What a
  /// launch costs by itself (some microseconds on a GPU) is in it.
  virtual double time_us(const std::function<void()>& launch, int repeats) const = 0;
  /// Queues launch(stream, i) for i = 0 .. launches - 1 as one CUDA graph and replays it once, to warm up: what a
  /// kernel costs without the host. Let i choose among several buffers where the tensors would otherwise stay in the
  /// cache. With several of these, work can be timed in turns. (The host target runs `launch` anew each time: it must
  /// outlive the result.)
  virtual std::unique_ptr<Replay> capture(std::function<void(void* stream, int i)> launch, int launches) const = 0;
  /// The same without capturing a stream, which would keep the process from other work meanwhile
  /// (cuCtxSynchronize is refused while any stream of a context is captured): what fill(recorder, i) records for i = 0
  /// .. launches - 1 becomes one CUDA graph.
  virtual std::unique_ptr<Replay> record(std::function<void(Recorder& recorder, int i)> fill, int launches) const = 0;
};

/// A kernel whose launches are recorded: its stream is a Recorder*. So whatever launches can record.
class RecordedKernel : public LoadedKernel {
 public:
  explicit RecordedKernel(std::shared_ptr<const LoadedKernel> kernel) : kernel_(std::move(kernel)) {}
  int launch(const LaunchGeometry& geometry, LaunchParams& params, void* stream) const noexcept override {
    return kernel_->record(geometry, params, *static_cast<Recorder*>(stream));
  }
  int record(const LaunchGeometry& geometry, LaunchParams& params, Recorder& recorder) const noexcept override {
    return kernel_->record(geometry, params, recorder);
  }

 private:
  std::shared_ptr<const LoadedKernel> kernel_;
};

}  // namespace ropejit::internal
