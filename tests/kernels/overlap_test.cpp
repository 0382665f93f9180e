#include <cstdint>
#include <vector>

#include "launch/prepared_kernel.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/targets.hpp"

using namespace ropejit;

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
