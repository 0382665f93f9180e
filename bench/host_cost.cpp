// ropejit_bench host: the host's time of launch, beside the driver's own launch of the same kernel with the same
// arguments; and of all that launch does before the driver, around a kernel that does nothing, which needs no GPU.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "bench/cells.hpp"
#include "bench/commands.hpp"
#include "bench/selection.hpp"
#include "cli/arguments.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/generate.hpp"
#include "cuda/driver_api.hpp"
#include "launch/prepared_kernel.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"
#include "ropejit/service.hpp"
#include "service/targets.hpp"
#include "spec/lower.hpp"
#include "tune/statistics.hpp"

namespace ropejit::bench {

using internal::summarize;
using internal::Summary;
using internal::time_in_turns;
namespace {

using internal::LaunchGeometry;
using internal::PreparedKernel;
using internal::RotationPlan;
using internal::Target;

constexpr int kTurns = 101;

struct Row {
  const char* name;
  LaunchForm form;
  bool packed;
  bool prologue = false;  ///< norms of q and k, and a v

  RopeSpec spec() const {
    Case what = llama_case();
    what.norm = what.append = prologue;
    return what.spec();
  }
};

LaunchForm with_cache(LaunchForm form) {
  form.k_rows = CacheRows::rows32;
  return form;
}

LaunchForm with_slots(LaunchForm form) {
  form.k_rows = form.v_rows = CacheRows::slots64;
  return form;
}

const Row kRows[] = {
    {"in place, contiguous", LaunchForm::in_place_ids(), false},
    {"out of place, contiguous", LaunchForm::out_of_place_ids(), false},
    {"in place, packed QKV", LaunchForm::in_place_ids().with_free_strides(), true},
    {"out of place, k to a cache", with_cache(LaunchForm::out_of_place_ids()), false},
    {"packed QKV, k to a cache", with_cache(LaunchForm::in_place_ids().with_free_strides()), true},
    {"packed QKV, prologue to pages", with_slots(LaunchForm::out_of_place_ids().with_free_strides()), true, true},
};

constexpr std::size_t kTensorBytes = 1U << 20;  // for up to 64 tokens
constexpr std::size_t kAllBytes = 5 * kTensorBytes;

RopeArgs args_at(char* memory, const Row& row, std::int64_t tokens) {
  RopeArgs args;
  args.q.data = memory;
  args.k.data = memory + kTensorBytes;
  args.tokens = tokens;
  args.positions = Positions::ids64(reinterpret_cast<const std::int64_t*>(memory + 4 * kTensorBytes));
  const bool to_cache = row.form.k_rows != CacheRows::none;
  if (row.form.placement == Placement::out_of_place) args.q_out.data = memory + 2 * kTensorBytes;
  if (row.form.placement == Placement::out_of_place || to_cache) args.k_out.data = memory + 3 * kTensorBytes;
  if (to_cache) {
    args.k_rows = memory + 4 * kTensorBytes + kTensorBytes / 2;
    args.k_cache_rows = 128;
  }
  if (row.packed) {
    args.q.token_stride = args.k.token_stride = (32 + 2 * 8) * 128;
    args.k.data = memory + 32 * 128 * 2;
  }
  if (row.prologue) {
    args.v = args.k;
    args.v.data = memory + (32 + 8) * 128 * 2;
    args.v_out.data = memory + 3 * kTensorBytes + kTensorBytes / 2;
    args.v_rows = args.k_rows;
    args.v_cache_rows = args.k_cache_rows;
    args.k_block_size = args.v_block_size = 16;
    args.q_norm_weight = memory + 4 * kTensorBytes + kTensorBytes / 4;
    args.k_norm_weight = memory + 4 * kTensorBytes + kTensorBytes / 4 + 256;
  }
  return args;
}

/// Launches nothing, and remembers what it should have launched.
class Recorder : public internal::LoadedKernel {
 public:
  int launch(const LaunchGeometry& geometry, LaunchParams& params, void*) const noexcept override {
    geometry_ = geometry;
    params_ = static_cast<const PrologueParams&>(params);  // as launch_prepared has them
    return 0;
  }
  int record(const internal::LaunchGeometry&, LaunchParams&, internal::Recorder&) const noexcept override { return 0; }
  const LaunchGeometry& geometry() const { return geometry_; }
  const PrologueParams& params() const { return params_; }

 private:
  mutable LaunchGeometry geometry_;
  mutable PrologueParams params_{};
};

class Nothing : public internal::LoadedKernel {
 public:
  int launch(const LaunchGeometry&, LaunchParams&, void*) const noexcept override { return 0; }
  int record(const internal::LaunchGeometry&, LaunchParams&, internal::Recorder&) const noexcept override { return 0; }
};

PreparedKernel prepared(const RotationPlan& plan, std::uint32_t multiprocessors,
                        const std::shared_ptr<const internal::LoadedKernel>& kernel) {
  PreparedKernel made;
  made.kernel_class = plan.kernel_class;
  made.constants = internal::PreparedConstants(plan);
  for (const internal::VariantChoice& choice : internal::default_variants(plan.kernel_class, multiprocessors)) {
    made.table.push_back(internal::prepared_variant(plan.kernel_class, choice.variant, choice.min_tokens, kernel));
  }
  made.universal = made.table.front();
  return made;
}

/// Mean of `launches` launches in nanoseconds. `launch` returns whether it could; `after` is not in the time.
double nanoseconds(int launches, const std::function<bool()>& launch, const std::function<void()>& after) {
  bool all = true;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < launches; ++i) all = launch() && all;
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  after();
  if (!all) throw Error(ErrorCode::launch_failed, "bench", "a launch was refused");
  return took.count() / launches;
}

void checks() {
  std::vector<RotationPlan> plans;
  std::vector<PreparedKernel> kernels;
  std::vector<std::function<double()>> work;
  char* nowhere = reinterpret_cast<char*>(std::uintptr_t{0x10000000});  // addresses that nothing reads
  for (const Row& row : kRows) {
    kernels.push_back(prepared(internal::lower(row.spec(), row.form), 132, std::make_shared<const Nothing>()));
  }
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    work.push_back([&kernel = kernels[i], args = args_at(nowhere, kRows[i], 64)] {
      return nanoseconds(
          10'000, [&] { return static_cast<bool>(internal::launch_prepared(kernel, args, nullptr)); }, [] {});
    });
  }
  const auto samples = time_in_turns(work, kTurns);
  fmt::print("| before the driver: checks, choice, arguments | ns | spread |\n|---|---|---|\n");
  for (std::size_t i = 0; i < work.size(); ++i) {
    const Summary summary = summarize(samples[i]);
    fmt::print("| {} | {:.0f} | {:.1f} |\n", kRows[i].name, summary.median, summary.spread);
  }
}

/// The kernel that serves `tokens` tokens, as a program of its own would load it.
CUfunction raw_function(const internal::DriverApi& api, const Target& target, const RotationPlan& plan,
                        std::int64_t tokens) {
  const internal::KernelSource source = internal::generate(plan, default_for(plan, target.multiprocessors(), tokens));
  const std::string image = target.compiler().compile(source).image;
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
  CUfunction function = nullptr;
  internal::check_driver(api, api.p_cuLibraryLoadData(&library, image.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
                         "cuLibraryLoadData");
  internal::check_driver(api, api.p_cuLibraryGetKernel(&kernel, library, source.entry.c_str()), "cuLibraryGetKernel");
  internal::check_driver(api, api.p_cuKernelGetFunction(&function, kernel), "cuKernelGetFunction");
  return function;  // stays loaded: what launched it may still run
}

void against_driver(const Target& target, const ServiceOptions& options) {
  // So few at a time that the driver's queue never fills and makes the host wait.
  constexpr int kLaunches = 200;
  const internal::DriverApi& api = internal::require_driver_api();
  const internal::DeviceBuffer memory = target.allocate(kAllBytes);
  const std::vector<char> zeros(kAllBytes);
  target.upload(memory.data(), zeros.data(), zeros.size());
  const RopeService service(options);
  const auto wait = [&] { target.synchronize(); };
  fmt::print("\n| on {} | launch ns | spread | cuLaunchKernel ns | spread | added ns |\n|---|---|---|---|---|---|\n",
             target.name());
  for (const Row& row : kRows) {
    const RotationPlan plan = internal::lower(row.spec(), row.form);
    const RopeKernel rope = service.get(row.spec(), row.form);
    for (const std::int64_t tokens : {1, 64}) {
      const RopeArgs args = args_at(static_cast<char*>(memory.data()), row, tokens);
      const auto recorder = std::make_shared<const Recorder>();
      if (!internal::launch_prepared(prepared(plan, target.multiprocessors(), recorder), args, nullptr)) {
        throw Error(ErrorCode::internal, "bench", "the arguments were refused");
      }
      const CUfunction function = raw_function(api, target, plan, tokens);
      PrologueParams params = recorder->params();
      const LaunchGeometry geometry = recorder->geometry();
      const auto samples =
          time_in_turns({[&] {
                           return nanoseconds(
                               kLaunches, [&] { return static_cast<bool>(rope.launch(args)); }, wait);
                         },
                         [&] {
                           return nanoseconds(
                               kLaunches,
                               [&] {
                                 void* arguments[] = {&params};
                                 return api.p_cuLaunchKernel(function, geometry.blocks, 1, 1, geometry.threads, 1, 1, 0,
                                                             nullptr, arguments, nullptr) == CUDA_SUCCESS;
                               },
                               wait);
                         }},
                        kTurns);
      const Summary ours = summarize(samples[0]);
      const Summary raw = summarize(samples[1]);
      fmt::print("| {}, {} tokens | {:.0f} | {:.1f} | {:.0f} | {:.1f} | {:.0f} |\n", row.name, tokens, ours.median,
                 ours.spread, raw.median, raw.spread, ours.median - raw.median);
    }
  }
}

}  // namespace

void host_command(const Words& words) {
  const internal::Arguments arguments("host", {{"--device", "NAME", ""}}, words);
  ServiceOptions options;
  options.device = arguments.text("--device");
  options.cache_dir = "";
  const auto target = internal::open_target(options);
  checks();
  if (target->name() == "host") return;
  target->make_current();
  against_driver(*target, options);
}

}  // namespace ropejit::bench
