#include <cstdint>
#include <vector>

#include "launch/prepared_kernel.hpp"
#include "launch_params.cuh"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/targets.hpp"

using namespace ropejit;

namespace {

// Writes 0, 5, 2, 7, 4, 1, 6, 3 to the int64 numbers at q_out, late, after it let the next launch start.
constexpr const char* kSlowWriter = R"(#include "launch_params.cuh"
#include "primitives.cuh"
extern "C" __global__ void slow_writer(const __grid_constant__ ropejit::LaunchParams params) {
  ropejit::let_next_kernel_start();
#ifndef ROPEJIT_HOST_TARGET
  for (const long long start = clock64(); clock64() - start < 400000;) {
  }
#endif
  if (threadIdx.x < 8) static_cast<long long*>(params.q_out)[threadIdx.x] = threadIdx.x * 5 % 8;
}
)";

/// A prologue of eight tokens in memory of its own: rows of q, k and v, then the pages of k and v, then the slots.
struct PrologueOfEight {
  static constexpr std::int64_t kTokens = 8;
  static constexpr std::int64_t kRow = 4 * 64;  // two heads of q, one of k, one of v
  static constexpr std::size_t kBytes = (kTokens * kRow + 2 * kTokens * 64 + 64) * 4 + kTokens * 8;

  explicit PrologueOfEight(const internal::Target& where)
      : target(where), memory(where.allocate(kBytes)), first(static_cast<float*>(memory.data())) {}

  static RopeSpec spec() {
    RopeSpec spec;
    spec.dtype = DType::fp32;
    spec.rotary_dim = 64;
    spec.q = {2, 64, 0, std::nullopt, std::nullopt, Norm{}};
    spec.k = Operand{1, 64, 0, std::nullopt, std::nullopt, Norm{}};
    spec.v = Operand{1, 64, 0};
    return spec;
  }

  float* pages() const { return first + kTokens * kRow; }
  void* slots() const { return first + kTokens * kRow + 2 * kTokens * 64 + 64; }

  RopeArgs args() const {
    RopeArgs args;
    args.tokens = kTokens;
    args.positions = Positions::start(3);
    args.q = {first, kContiguous, kRow, 64, 1};
    args.k = {first + 2 * 64, kContiguous, kRow, 64, 1};
    args.v = {first + 3 * 64, kContiguous, kRow, 64, 1};
    args.k_out.data = pages();
    args.v_out.data = pages() + kTokens * 64;
    args.q_norm_weight = args.k_norm_weight = pages() + 2 * kTokens * 64;
    args.k_rows = args.v_rows = slots();
    args.k_cache_rows = args.v_cache_rows = kTokens;
    args.k_block_size = args.v_block_size = 4;
    return args;
  }

  /// The tensors' first values, no token of which has a slot yet.
  void reset() const {
    std::vector<float> values((kBytes - kTokens * 8) / 4);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 23) - 11.0F;
    target.upload(first, values.data(), values.size() * 4);
    const std::vector<std::int64_t> none(kTokens, -1);
    target.upload(slots(), none.data(), none.size() * 8);
    target.synchronize();
  }

  std::vector<float> result() const {
    target.synchronize();
    std::vector<float> values(kBytes / 4);
    target.download(values.data(), first, kBytes);
    return values;
  }

  const internal::Target& target;
  internal::DeviceBuffer memory;
  float* first;
};

}  // namespace

TEST_CASE("Launches that begin while the one before is ending see what it wrote", "[numeric]") {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 64;
  spec.q = {8, 64, 0};
  spec.k = Operand{2, 64, 0};
  LaunchForm plain = LaunchForm::in_place_start();
  LaunchForm overlapping = plain;
  overlapping.overlaps_previous = true;
  LaunchForm early = overlapping;
  early.ready_lists = true;
  for (const test::TargetPtr& target : test::targets()) {
    const bool host = target->name() == "host";
    // Each launch turns on what the one before left. Few blocks, whose dependents come early; and many.
    for (const std::int64_t tokens : {1, 33, host ? 40 : 20000}) {
      std::vector<float> before(static_cast<std::size_t>(tokens * 10 * 64));
      for (std::size_t i = 0; i < before.size(); ++i) before[i] = static_cast<float>(i % 17) - 8.0F;
      const internal::DeviceBuffer memory = target->allocate(before.size() * 4);
      std::vector<std::vector<float>> results;
      for (const LaunchForm& form : {plain, overlapping, early}) {
        const internal::PreparedKernel kernel = test::prepare(target, internal::lower(spec, form));
        CHECK(kernel.kernel_class.form.overlaps_previous == form.overlaps_previous);
        RopeArgs args;
        args.q.data = memory.data();
        args.k.data = static_cast<float*>(memory.data()) + tokens * 8 * 64;
        args.tokens = tokens;
        args.positions = Positions::start(11);
        target->upload(memory.data(), before.data(), before.size() * 4);
        for (int i = 0; i < 40; ++i) REQUIRE(internal::launch_prepared(kernel, args, nullptr));
        target->synchronize();
        results.emplace_back(before.size());
        target->download(results.back().data(), memory.data(), before.size() * 4);
      }
      INFO(target->name() << ", " << tokens << " tokens");
      CHECK(results[0] != before);
      CHECK(results[0] == results[1]);
      CHECK(results[0] == results[2]);
    }
  }
}

TEST_CASE("Slots that a slow launch writes are seen by overlapping launches behind it, and by a promise that is kept",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const internal::KernelSource source{"slow_writer", kSlowWriter};
    const auto writer = target->load(target->compiler().compile(source).image, source);
    const PrologueOfEight launch(*target);
    const PrologueOfEight between(*target);
    between.reset();
    const auto kernel = [&](bool overlaps, bool ready) {
      LaunchForm form = LaunchForm::in_place_start().with_free_strides();
      form.k_rows = form.v_rows = CacheRows::slots64;
      form.overlaps_previous = overlaps;
      form.ready_lists = ready;
      return test::prepare(target, internal::lower(PrologueOfEight::spec(), form));
    };
    const auto write = [&] {
      LaunchParams params{};
      params.q_out = launch.slots();
      REQUIRE(writer->launch({1, 32}, params, nullptr) == 0);
    };
    const auto take = [](const internal::PreparedKernel& one, const PrologueOfEight& tensors) {
      REQUIRE(internal::launch_prepared(one, tensors.args(), nullptr));
    };
    const internal::PreparedKernel plain = kernel(false, false);
    const internal::PreparedKernel overlapping = kernel(true, false);
    const internal::PreparedKernel early = kernel(true, true);

    launch.reset();
    write();
    target->synchronize();
    take(plain, launch);
    const std::vector<float> expected = launch.result();

    for (int round = 0; round < 20; ++round) {
      INFO(target->name() << ", round " << round);
      launch.reset();
      write();
      take(overlapping, between);
      take(overlapping, launch);
      CHECK(launch.result() == expected);

      // What ends before `between` begins was written by nothing that may still run.
      launch.reset();
      write();
      take(plain, between);
      take(early, between);
      take(early, launch);
      CHECK(launch.result() == expected);
    }
  }
}
