// What launches hand to kernels beside the tensors: the numbers of a plan's stages, the addresses of what they read,
// and blocks for those operands that have work.
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "codegen/legality.hpp"
#include "launch/prepared_kernel.hpp"
#include "support/refusals.hpp"

namespace {

using namespace ropejit;
using test::address;
using test::good_args;
using test::three_operands;

/// Launches nothing, and remembers what it should have launched.
class Recorder : public internal::LoadedKernel {
 public:
  int launch(const internal::LaunchGeometry& geometry, LaunchParams& params, void*) const noexcept override {
    ++launches;
    blocks = geometry.blocks;
    // As launch_prepared has them. What is not for this class has no values, so no member by member.
    std::memcpy(&seen, &static_cast<const StageParams&>(params), sizeof seen);
    return 0;
  }
  int record(const internal::LaunchGeometry& geometry, LaunchParams& params,
             internal::Recorder&) const noexcept override {
    return launch(geometry, params, nullptr);
  }

  mutable int launches = 0;
  mutable std::uint32_t blocks = 0;
  mutable StageParams seen;
};

/// A kernel of a plan's universal entry that launches nothing.
struct Prepared {
  Prepared(const RopeSpec& spec, const LaunchForm& form) {
    const internal::RotationPlan plan = internal::lower(spec, form);
    kernel = internal::kernel_of_one(plan, internal::universal_variant(plan.kernel_class), recorder);
  }
  const StageParams& launched(const RopeArgs& args) const {
    const LaunchStatus status = internal::launch_prepared(kernel, args, nullptr);
    INFO(status.message());
    REQUIRE(status);
    return recorder->seen;
  }

  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
  internal::PreparedKernel kernel;
};

/// As templates/positions.cuh divides.
std::int64_t divided(std::int64_t number, const LongDivisor& by) {
  if (by.multiplier == 0) return number;
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::int64_t>((Wide{static_cast<std::uint64_t>(number)} * by.multiplier >> 64) >> by.shift);
}

}  // namespace

TEST_CASE("Each operand's line has the numbers of its stages and the addresses of what they read", "[launch]") {
  RopeSpec spec = three_operands();
  spec.q.norm = Norm{1e-5};
  spec.q.norm->bias = true;
  spec.q.scale = 0.125;
  spec.q.temperature = Temperature{0.25, 8192, true, 1};
  spec.k->bias = true;
  spec.k->clamp = 7.5;
  spec.k->norm = Norm{1e-3};
  spec.k->norm->span = NormSpan::token;
  spec.k->norm->statistic = Statistic::given_sum;
  spec.k->norm->global_heads = 8;
  spec.v->head_scales = true;
  const Prepared prepared(spec, LaunchForm::in_place_ids());
  RopeArgs args = good_args();
  args.q_norm_weight = address(0x90000);
  args.q_norm_bias = address(0x91000);
  args.k_norm_weight = address(0x92000);
  args.k_bias = address(0x93000);
  args.k_norm_statistic.data = static_cast<float*>(address(0x94000));
  args.v_head_scales = static_cast<const float*>(address(0x95000));
  const StageParams& seen = prepared.launched(args);
  CHECK(seen.lines[0].eps == 1e-5F);
  CHECK(seen.lines[0].weight == args.q_norm_weight);
  CHECK(seen.numbers[0].norm_bias == args.q_norm_bias);
  CHECK(seen.numbers[0].scale == 0.125F);
  CHECK(seen.numbers[0].tau_coefficient == 0.25F);
  for (const std::int64_t position : {INT64_C(0), INT64_C(8191), INT64_C(8192), INT64_C(1) << 40}) {
    CHECK(divided(position, seen.numbers[0].tau_length) == position / 8192);
  }
  CHECK(seen.lines[1].eps == 1e-3F);
  CHECK(seen.lines[1].weight == args.k_norm_weight);
  CHECK(seen.numbers[1].bias == args.k_bias);
  CHECK(seen.numbers[1].clamp == 7.5F);
  CHECK(seen.numbers[1].norm_share == 1.0F / (8 * 16));
  CHECK(seen.statistic[1].data == args.k_norm_statistic.data);
  CHECK(seen.numbers[2].head_scales == args.v_head_scales);
  CHECK(seen.lines[2].out == args.v_out.data);
}

TEST_CASE("Operands that nothing is done to get no blocks, and a launch of none is fine and queues nothing",
          "[launch]") {
  auto [spec, form, args] = test::StillLayer();
  const Prepared prepared(spec, form);
  const auto own = [&](std::size_t i) {
    return internal::blocks_for(3, prepared.kernel.universal.work.operands[i].block);
  };
  const StageParams& seen = prepared.launched(args);
  CHECK(seen.q_blocks == 0);
  CHECK(seen.third_block == own(1));
  CHECK(seen.more[0].first_block == own(1));
  CHECK(prepared.recorder->blocks == own(1) + own(2));
  args.k = args.k_out = {};
  CHECK(prepared.launched(args).third_block == 0);
  CHECK(prepared.recorder->blocks == own(2));
  CHECK(prepared.recorder->launches == 2);
  args.v = args.v_out = {};
  prepared.launched(args);
  CHECK(prepared.recorder->launches == 2);
}

TEST_CASE("Where only statistics are written, operands without one get no blocks and need no memory", "[launch]") {
  RopeSpec spec = three_operands();
  spec.q.norm = spec.v->norm = Norm{};
  spec.v->norm->statistic = Statistic::given;
  LaunchForm form = LaunchForm::in_place_ids();
  form.norm_statistics = form.statistics_only = true;
  RopeArgs args = good_args();
  args.v_out.data = nullptr;
  args.q_norm_weight = address(0x90000);
  args.q_norm_statistic_out.data = static_cast<float*>(address(0x94000));
  const Prepared prepared(spec, form);
  const StageParams& seen = prepared.launched(args);
  const std::uint32_t of_q = internal::blocks_for(3, prepared.kernel.universal.work.operands[0].block);
  CHECK(prepared.recorder->blocks == of_q);
  CHECK(seen.q_blocks == of_q);
  CHECK(seen.statistic[0].data == args.q_norm_statistic_out.data);
  CHECK(seen.statistic[0].token == 4);
}

TEST_CASE("Biases are read by words as weights are, and those that no word fits go to the universal entry",
          "[launch]") {
  struct Row {
    const char* what;
    void (*change)(RopeSpec&);
    std::uint32_t bytes;
  };
  const Row rows[] = {
      {"nothing to read", [](RopeSpec&) {}, 1},
      {"a norm without weights", [](RopeSpec& spec) { spec.q.norm = Norm{}, spec.q.norm->weight = NormWeight::none; },
       1},
      {"factors of heads", [](RopeSpec& spec) { spec.v->head_scales = true; }, 1},
      {"weights", [](RopeSpec& spec) { spec.k->norm = Norm{}; }, 16},
      {"biases of what rotates", [](RopeSpec& spec) { spec.q.bias = true; }, 16},
      {"biases of what does not", [](RopeSpec& spec) { spec.v->bias = true; }, 16},
  };
  // Words of eight lanes, of those that rotate and of those that do not.
  const internal::Variant fast{internal::Family::flat, 16, 1, 128};
  for (const Row& row : rows) {
    RopeSpec spec = three_operands();
    spec.rotary_dim = 16;
    row.change(spec);
    INFO(row.what);
    CHECK(internal::work_of(internal::lower(spec, LaunchForm::in_place_ids()).kernel_class, fast).widths.weight ==
          row.bytes);
  }
  RopeSpec spec = three_operands();
  spec.v->bias = true;
  Prepared prepared(spec, LaunchForm::in_place_ids());
  const auto words = std::make_shared<Recorder>();
  prepared.kernel.table.front() =
      internal::prepared_variant(prepared.kernel.kernel_class, {internal::Family::flat, 8, 1, 128}, 0, words);
  RopeArgs args = good_args();
  args.v_bias = address(0x90000);
  REQUIRE(internal::launch_prepared(prepared.kernel, args, nullptr));
  CHECK(words->launches == 1);
  CHECK(prepared.recorder->launches == 0);
  args.v_bias = address(0x90008);
  REQUIRE(internal::launch_prepared(prepared.kernel, args, nullptr));
  CHECK(words->launches == 1);
  CHECK(prepared.recorder->launches == 1);
}
