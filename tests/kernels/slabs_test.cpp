#include <cstdint>
#include <vector>

#include "launch_params.cuh"
#include "service/launch_arguments.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/targets.hpp"

using namespace ropejit;

TEST_CASE("A launch in slabs of any number of tokens gives the bits of a launch in one", "[numeric]") {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 8;
  spec.q = {3, 12, 0};
  spec.k = Operand{1, 12, 0};
  // With a change of layout a row's threads stand in one block: blocks are cut in another way.
  const bool by_rows = GENERATE(false, true);
  if (by_rows) spec.layout_out = Layout::interleaved;
  const LaunchForm form = LaunchForm::in_place_start();
  constexpr std::int64_t kTokens = 7;
  std::vector<float> before(kTokens * 4 * 12);
  for (std::size_t i = 0; i < before.size(); ++i) before[i] = static_cast<float>(i % 13) - 6.0F;
  for (const test::TargetPtr& target : test::targets()) {
    const internal::PreparedKernel kernel = test::prepare(target, internal::lower(spec, form));
    const internal::DeviceBuffer memory = target->allocate(before.size() * 4);
    RopeArgs args;
    args.q.data = memory.data();
    args.k.data = static_cast<float*>(memory.data()) + kTokens * 3 * 12;
    args.tokens = kTokens;
    args.positions = Positions::start(-3);
    internal::LaunchArguments arguments;
    REQUIRE(internal::check_arguments(kernel.kernel_class, args, arguments));
    for (const internal::PreparedVariant* variant : {&kernel.table.front(), &kernel.universal}) {
      std::vector<float> whole;
      for (const std::uint32_t slab : {7U, 1U, 2U, 3U, 6U, 100U}) {
        INFO(target->name() << " " << to_string(variant->variant) << " slabs of " << slab);
        target->upload(memory.data(), before.data(), before.size() * 4);
        arguments.params.tokens_per_slab = slab;
        const auto threads = variant->variant.threads;
        const internal::KernelClass& kernel_class = kernel.kernel_class;
        REQUIRE(kernel_class.by_rows() == by_rows);
        const BlockSplit block = variant->block;
        CHECK((block.row_threads > 1 || block.rounds > 1) == by_rows);
        const std::uint32_t blocks = (slab * block.items_per_token + block.items_per_block - 1) / block.items_per_block;
        REQUIRE(variant->kernel->launch({blocks, (7 + slab - 1) / slab, threads}, arguments.params, nullptr) == 0);
        target->synchronize();
        std::vector<float> after(before.size());
        target->download(after.data(), memory.data(), after.size() * 4);
        if (whole.empty()) whole = after;
        CHECK(after != before);
        CHECK(after == whole);
      }
    }
  }
}
