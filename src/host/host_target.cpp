#include "host/host_target.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include <fmt/format.h>

#include "host/block_runner.hpp"
#include "host/host_compiler.hpp"
#include "host/shared_object.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"
#include "support/made_once.hpp"

namespace ropejit::internal {
namespace {

class HostKernel : public LoadedKernel {
 public:
  HostKernel(std::string_view image, const KernelSource& source)
      : object_(image),
        bind_(reinterpret_cast<void (*)(HostThread*)>(object_.symbol("ropejit_host_bind"))),
        kernel_(object_.symbol(source.entry)),
        params_(source.params) {}

  int launch(const LaunchGeometry& geometry, LaunchParams& params, void*) const noexcept override {
    try {
      const HostEntry entry{bind_, [this, &params] { run_thread(params); }};
      return static_cast<int>(run_grid(geometry, entry));
    } catch (...) {  // std::function's own allocation
      return static_cast<int>(HostOutcome::no_memory);
    }
  }
  int record(const LaunchGeometry& geometry, LaunchParams& params, Recorder&) const noexcept override {
    return launch(geometry, params, nullptr);
  }

 private:
  void run_thread(const LaunchParams& params) const {
    switch (params_) {
      case KernelParams::rope: return run_thread_with<LaunchParams>(params);
      case KernelParams::more: return run_thread_with<MoreLaunchParams>(params);
      case KernelParams::prologue: return run_thread_with<PrologueParams>(params);
      case KernelParams::beside: return run_thread_with<BesideParams>(params);
      case KernelParams::statistic: return run_thread_with<StatisticParams>(params);
      case KernelParams::stage: return run_thread_with<StageParams>(params);
      case KernelParams::group: return run_thread_with<GroupParams>(params);
      case KernelParams::page_table: return run_thread_with<PageTableParams>(params);
      case KernelParams::store: return run_thread_with<StoreParams>(params);
    }
  }
  template <class Params>
  void run_thread_with(const LaunchParams& params) const {
    reinterpret_cast<void (*)(Params)>(kernel_)(static_cast<const Params&>(params));
  }

  SharedObject object_;
  void (*bind_)(HostThread*);
  void* kernel_;
  KernelParams params_;
};

double median_us(const std::function<void()>& work, int repeats) {
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  return times.empty() ? 0.0 : times[times.size() / 2];
}

class HostReplay final : public Replay {
 public:
  HostReplay(std::function<void(void* stream, int i)> launch, int launches)
      : launch_(std::move(launch)), launches_(launches) {
    us();
  }

  double us() override {
    const auto all = [this] {
      for (int i = 0; i < launches_; ++i) launch_(nullptr, i);
    };
    return median_us(all, 1) / launches_;
  }

 private:
  const std::function<void(void* stream, int i)> launch_;
  const int launches_;
};

/// Nothing is written down: every replay records, and so runs, anew.
class HostRecorder : public Recorder {
 public:
  void copy(void* to, const void* from, std::size_t bytes) override { std::memmove(to, from, bytes); }
};

class HostTarget : public Target {
 public:
  explicit HostTarget(std::optional<std::string> compiler) : compiler_choice_(std::move(compiler)) {}
  ~HostTarget() override { delete compiler_.made(); }

  const std::string& name() const override { return name_; }
  const std::string& arch() const override { return arch_; }
  std::uint32_t multiprocessors() const override { return 1; }
  MemoryTraits memory() const override { return {}; }
  const std::string& recipe() const override { return host_recipe(); }

  const Compiler& compiler() const override {
    return compiler_.get([this] { return HostCompiler(compiler_choice_); });
  }

  std::shared_ptr<const LoadedKernel> load(std::string_view image, const KernelSource& source) const override {
    return std::make_shared<HostKernel>(image, source);
  }

  void make_current() const override {}

  DeviceConstant constant(const void* from, std::size_t bytes) const override {
    const DeviceBuffer copy = allocate(bytes);
    std::memcpy(copy.data(), from, bytes);
    return {{copy.data(), [copy](const void*) {}}, 0};
  }

  DeviceBuffer allocate(std::size_t bytes) const override {
    // Aligned as device memory is.
    constexpr std::align_val_t kAlignment{256};
    void* data = ::operator new(std::max<std::size_t>(bytes, 1), kAlignment, std::nothrow);
    if (data == nullptr) {
      throw Error(ErrorCode::device_unavailable, "device",
                  fmt::format("cannot allocate {} bytes of host memory", bytes));
    }
    return {data, [](void* pointer) { ::operator delete(pointer, kAlignment); }};
  }
  void upload(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
  void synchronize() const override {}
  // Tuning takes a quarter of it: what is small enough for any machine that compiles C++.
  std::size_t free_bytes() const override { return std::size_t{1} << 30; }
  void upload_aside(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
  void download_aside(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
  bool is_capturing() const noexcept override { return false; }
  void copy(void* to, const void* from, std::size_t bytes, void*) const override { std::memmove(to, from, bytes); }

  double time_us(const std::function<void()>& launch, int repeats) const override {
    launch();
    return median_us(launch, repeats);
  }
  std::unique_ptr<Replay> capture(std::function<void(void* stream, int i)> launch, int launches) const override {
    return std::make_unique<HostReplay>(std::move(launch), launches);
  }

  std::unique_ptr<Replay> record(std::function<void(Recorder& recorder, int i)> fill, int launches) const override {
    return std::make_unique<HostReplay>(
        [fill = std::move(fill)](void*, int i) {
          HostRecorder recorder;
          fill(recorder, i);
        },
        launches);
  }

 private:
  const std::string name_ = "host";
  const std::string arch_ = kHostArch;
  const std::optional<std::string> compiler_choice_;
  const MadeOnce<HostCompiler> compiler_;
};

}  // namespace

std::shared_ptr<const Target> host_target(const std::optional<std::string>& compiler) {
  return std::make_shared<HostTarget>(compiler);
}

}  // namespace ropejit::internal
