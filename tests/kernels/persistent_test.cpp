#include <cstdint>
#include <vector>

#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "launch/launch_arguments.hpp"
#include "launch/prepared_kernel.hpp"
#include "launch_params.cuh"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/targets.hpp"

using namespace ropejit;
using internal::Family;

TEST_CASE("Blocks that take turns, however few, give the bits of as many blocks as there is work", "[numeric]") {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 32;
  spec.q = {3, 48, 0};
  spec.k = Operand{1, 48, 0};
  const internal::RotationPlan plan = internal::lower(spec, LaunchForm::in_place_start());
  constexpr std::int64_t kTokens = 21;
  std::vector<float> before(kTokens * 4 * 48);
  for (std::size_t i = 0; i < before.size(); ++i) before[i] = static_cast<float>(i % 13) - 6.0F;
  for (const test::TargetPtr& target : test::targets()) {
    const internal::DeviceBuffer memory = target->allocate(before.size() * 4);
    RopeArgs args;
    args.q.data = memory.data();
    args.k.data = static_cast<float*>(memory.data()) + kTokens * 3 * 48;
    args.tokens = kTokens;
    args.positions = Positions::start(-3);
    std::vector<float> whole;
    for (const Family family : {Family::flat, Family::lanes, Family::shared}) {
      for (const bool persistent : {false, true}) {
        const internal::Variant variant{family, 16, 1, 64, persistent};
        INFO(target->name() << " " << to_string(variant) << internal::why_illegal(plan.kernel_class, variant));
        const internal::PreparedVariant prepared = test::prepare_variant(target, plan, variant);
        internal::PreparedKernel kernel = test::kernel_of(target, plan, prepared, prepared);
        internal::PreparedVariant& entry = kernel.table.front();
        CHECK((entry.most_blocks < internal::kMaxBlocks) == persistent);
        for (const std::uint32_t most : {1U, 2U, 5U, 1000U}) {
          if (!persistent && most != 1000) continue;
          entry.most_blocks = most;
          target->upload(memory.data(), before.data(), before.size() * 4);
          REQUIRE(internal::launch_prepared(kernel, args, nullptr));
          target->synchronize();
          std::vector<float> after(before.size());
          target->download(after.data(), memory.data(), after.size() * 4);
          if (whole.empty()) whole = after;
          CHECK(after != before);
          INFO("at most " << most << " blocks");
          CHECK(after == whole);
        }
      }
    }
  }
}
