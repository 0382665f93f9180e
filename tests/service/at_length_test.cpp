// Scaling that depends on the length: one set of binaries, resolved for any length without a compile.
#include <cstdint>
#include <string>
#include <vector>

#include "ropejit/error.hpp"
#include "ropejit/service.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"
#include "support/targets.hpp"
#include "verify/oracle.hpp"

using namespace ropejit;

namespace {

constexpr std::int64_t kDim = 32;
constexpr std::int64_t kTokens = 3;

RopeSpec spec_with(const Scaling& scaling) {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = kDim;
  spec.q = {2, kDim, 0};
  spec.scaling = scaling;
  return spec;
}

LongRopeScaling longrope(double short_mscale = 1.25) {
  LongRopeScaling rule;
  rule.short_factor.assign(kDim / 2, 1.0);
  rule.long_factor.assign(kDim / 2, 7.5);
  rule.original_max_position_embeddings = 4096;
  rule.short_mscale = short_mscale;
  rule.long_mscale = 1.75;
  return rule;
}

/// A launch of a few tokens from position `first` on, checked as if the spec had `length`.
LaunchStatus launch(const test::TargetPtr& target, const RopeKernel& kernel, std::int64_t first,
                    std::int64_t checked_length, bool& right) {
  RopeSpec spec = kernel.spec();
  spec.max_length = checked_length;
  const internal::Oracle oracle(spec);
  std::vector<float> values(kTokens * 2 * kDim);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 23) - 11.0F;
  std::vector<std::int64_t> positions;
  for (std::int64_t s = 0; s < kTokens; ++s) positions.push_back(first + s);
  const internal::DeviceBuffer memory = target->allocate(values.size() * 4);
  const internal::DeviceBuffer ids = target->allocate(positions.size() * 8);
  target->upload(memory.data(), values.data(), values.size() * 4);
  target->upload(ids.data(), positions.data(), positions.size() * 8);
  RopeArgs args;
  args.q.data = memory.data();
  args.tokens = kTokens;
  args.positions = kernel.form().positions == PositionSource::start
                       ? Positions::start(first)
                       : Positions::ids64(static_cast<const std::int64_t*>(ids.data()));
  const LaunchStatus status = kernel.launch(args);
  target->synchronize();
  std::vector<float> after(values.size());
  target->download(after.data(), memory.data(), after.size() * 4);
  internal::Comparison comparison;
  for (std::int64_t s = 0; s < kTokens; ++s) {
    const internal::Angles angles = oracle.angles(first + s);
    for (std::int64_t h = 0; h < 2; ++h) {
      const std::int64_t row = (s * 2 + h) * kDim;
      oracle.check(angles, spec.q, {values.data() + row, 1}, {after.data() + row, 1}, {0, s, h, 0}, comparison);
    }
  }
  right = comparison.passed();
  return status;
}

RopeService service_on(const test::TargetPtr& target, const std::string& cache_dir) {
  ServiceOptions options;
  options.device = target->name() == "host" ? "host" : "cuda";
  options.cache_dir = cache_dir;
  return RopeService(options);
}

}  // namespace

TEST_CASE("A kernel without a length refuses positions on the device, and says what would serve", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const RopeService service = service_on(target, "");
    for (const Scaling& rule : {Scaling{DynamicScaling{4, 2048}}, Scaling{longrope()}}) {
      const RopeKernel kernel = service.get(spec_with(rule), LaunchForm::in_place_ids());
      bool right = false;
      const LaunchStatus status = launch(target, kernel, 5, 4096, right);
      CHECK(status.code == ErrorCode::not_prepared);
      CHECK(status.message().find("at_length") != std::string::npos);
      CHECK_FALSE(right);
    }
  }
}

TEST_CASE("at_length resolves the rule for that length, from the same binaries, and leaves the first handle alone",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const test::ScratchFolder folder;
    const RopeService service = service_on(target, folder.path());
    for (const Scaling& rule : {Scaling{DynamicScaling{4, 2048}}, Scaling{longrope()}, Scaling{longrope(1.0)}}) {
      const RopeKernel kernel = service.get(spec_with(rule), LaunchForm::in_place_ids());
      const std::size_t binaries = test::files_below(folder.path()).size();
      for (const std::int64_t length : {1, 2048, 4096, 4097, 30000}) {
        const RopeKernel resolved = kernel.at_length(length);
        INFO(target->name() << " " << resolved.spec().to_string());
        bool right = false;
        CHECK(launch(target, resolved, 977, length, right));
        CHECK(right);
        CHECK(resolved.spec().max_length == length);
        CHECK(launch(target, resolved.at_length(9000), 977, 9000, right));
        CHECK(right);
      }
      CHECK_FALSE(kernel.spec().max_length);
      CHECK(test::files_below(folder.path()).size() == binaries);
      CHECK_THROWS_AS(kernel.at_length(0), Error);
      CHECK_THROWS_AS(RopeKernel().at_length(1), Error);
    }
    // Another theta, the same binaries.
    RopeSpec other = spec_with(DynamicScaling{4, 2048});
    other.theta = 5e5;
    const RopeKernel kernel = service.get(other, LaunchForm::in_place_ids());
    CHECK(kernel.info().variants.front().cache == CacheRung::memory);
    bool right = false;
    CHECK(launch(target, kernel.at_length(8192), 100, 8192, right));
    CHECK(right);
  }
}

TEST_CASE("Where positions count from a start, a launch takes the length from its own last position", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const RopeService service = service_on(target, "");
    const RopeKernel longer = service.get(spec_with(longrope()), LaunchForm::in_place_start());
    bool right = false;
    CHECK(launch(target, longer, 4096 - kTokens, 4096, right));
    CHECK(right);
    CHECK(launch(target, longer, 4097 - kTokens, 4097, right));
    CHECK(right);
    CHECK(launch(target, longer.at_length(10), 5000, 10, right));
    CHECK(right);

    const RopeKernel dynamic = service.get(spec_with(DynamicScaling{4, 2048}), LaunchForm::in_place_start());
    CHECK(launch(target, dynamic, 2048 - kTokens, 2048, right));
    CHECK(right);
    CHECK(launch(target, dynamic, 2049 - kTokens, 2049, right).code == ErrorCode::not_prepared);
  }
}

TEST_CASE("A launch's length is that of its own form: ranks count where tokens are shared, a count leaves it open",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const RopeService service = service_on(target, "");
    const internal::DeviceBuffer memory = target->allocate(kTokens * 2 * kDim * 4);
    const internal::DeviceBuffer count = target->allocate(4);
    const std::int32_t two = 2;
    target->upload(memory.data(), std::vector<float>(kTokens * 2 * kDim, 1.0F).data(), kTokens * 2 * kDim * 4);
    target->upload(count.data(), &two, 4);
    RopeArgs args;
    args.q.data = memory.data();
    args.tokens = kTokens;
    args.positions = Positions::start(2048 - kTokens);
    args.token_count = static_cast<const std::int32_t*>(count.data());
    LaunchForm form = LaunchForm::in_place_start();
    INFO(target->name());
    args.positions.ranks = 9;  // means nothing without context_parallel
    const RopeKernel alone = service.get(spec_with(DynamicScaling{4, 2048}), form);
    CHECK(alone.launch(args));
    args.positions.first += 1;
    const LaunchStatus beyond = alone.launch(args);
    CHECK(beyond.code == ErrorCode::not_prepared);
    CHECK(beyond.message().find("max_position_embeddings") != std::string::npos);

    form.context_parallel = ContextParallel::contiguous;
    const RopeKernel shared = service.get(spec_with(DynamicScaling{4, 2048}), form);
    args.positions = Positions::start(0);
    args.positions.ranks = 682;
    CHECK(shared.launch(args));
    args.positions.ranks = 683;
    CHECK(shared.launch(args).code == ErrorCode::not_prepared);

    // Two of the three tokens may be all there are, and then the sequence ends within the short factors.
    form = LaunchForm::in_place_start();
    form.counted = true;
    const RopeKernel counted = service.get(spec_with(longrope()), form);
    args.positions = Positions::start(4096 - kTokens);
    CHECK(counted.launch(args));
    args.positions = Positions::start(4097 - kTokens);
    CHECK(counted.launch(args).code == ErrorCode::not_prepared);
    CHECK(counted.at_length(4097).launch(args));
    target->synchronize();
  }
}

TEST_CASE("A kernel may be made and resolved while a graph is captured, and the graph replays", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const RopeService service = service_on(target, "");
    const RopeKernel first = service.get(spec_with(longrope()), LaunchForm::in_place_start());
    const internal::DeviceBuffer memory = target->allocate(kTokens * 2 * kDim * 4);
    target->upload(memory.data(), std::vector<float>(kTokens * 2 * kDim, 1.0F).data(), kTokens * 2 * kDim * 4);
    RopeArgs args;
    args.q.data = memory.data();
    args.tokens = kTokens;
    args.positions = Positions::start(0);
    double theta = 300;
    const auto launch_resolved = [&](void* stream, int) {
      RopeSpec other = spec_with(longrope());
      other.theta = theta += 100;
      const RopeKernel kernel = service.get(other, LaunchForm::in_place_start()).at_length(5000);
      REQUIRE(kernel.launch(args, stream));
    };
    const double us = target->capture(launch_resolved, 2)->us();
    INFO(target->name());
    CHECK(us > 0);
  }
}

TEST_CASE("A kernel whose scaling knows no length is its own at every length", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const RopeService service = service_on(target, "");
    const RopeKernel kernel = service.get(spec_with(NoScaling{}), LaunchForm::in_place_ids());
    bool right = false;
    CHECK(launch(target, kernel.at_length(77), 4000, 77, right));
    CHECK(right);
    CHECK(kernel.at_length(77).info().plan_hash == kernel.info().plan_hash);
  }
}
