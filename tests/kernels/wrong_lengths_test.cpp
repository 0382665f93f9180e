// cu_seqlens that no host can look at: whatever they hold, nothing outside the tensors and tables is touched.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/arena.hpp"
#include "support/check_case.hpp"

namespace {

using namespace ropejit;

constexpr std::int64_t kTokens = 12;
constexpr std::int64_t kDim = 8;
constexpr std::size_t kGuard = 64;  // values before and behind the tensor
constexpr std::int64_t kTableRows = 16;

constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t kLeast = std::numeric_limits<std::int32_t>::min();

const std::vector<std::vector<std::int32_t>> kWrong = {
    {0, 9, 3, 12},        {12, 8, 4, 0}, {5, 5, 5, 5}, {-4, -3, 2, 12}, {kMost, kLeast, kMost, kLeast},
    {0, kMost, 0, kMost}, {0, 5, 7, 12},  // not of a length that ranks can share
};

RopeSpec one_head() {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = kDim;
  spec.q = {1, kDim, 0};
  return spec;
}

/// What a launch made of ones between guards, and what it reported.
struct Outcome {
  std::vector<float> values;
  std::uint32_t flags = 0;
};

Outcome rotate(const internal::PreparedKernel& kernel, const std::vector<std::int32_t>& cu_seqlens) {
  const internal::Target& target = *kernel.target;
  test::Inputs inputs(target);
  Outcome outcome;
  outcome.values.assign(2 * kGuard + kTokens * kDim, 1.0F);
  const internal::DeviceBuffer buffer = target.allocate(outcome.values.size() * 4);
  const internal::DeviceBuffer flags = target.allocate(4);
  target.upload(buffer.data(), outcome.values.data(), outcome.values.size() * 4);
  target.upload(flags.data(), &outcome.flags, 4);
  // Row p is a turn by a right angle: cos 0 and sin 1.
  const std::vector<float> cos(kTableRows * kDim / 2, 0.0F);
  const std::vector<float> sin(kTableRows * kDim / 2, 1.0F);
  RopeArgs args;
  args.q.data = static_cast<float*>(buffer.data()) + kGuard;
  args.tokens = kTokens;
  args.positions = Positions::ragged(inputs.put(cu_seqlens), static_cast<std::int64_t>(cu_seqlens.size()) - 1);
  args.positions.ranks = 2;
  args.positions.rank = 1;
  args.table.cos = inputs.put(cos);
  args.table.sin = inputs.put(sin);
  args.table.rows = kTableRows;
  args.flags = static_cast<std::uint32_t*>(flags.data());
  const LaunchStatus status = internal::launch_prepared(kernel, args, nullptr);
  INFO(status.message());
  REQUIRE(status);
  target.synchronize();
  target.download(outcome.values.data(), buffer.data(), outcome.values.size() * 4);
  target.download(&outcome.flags, flags.data(), 4);
  CHECK(inputs.stray_write().empty());
  return outcome;
}

}  // namespace

TEST_CASE("cu_seqlens that decrease or are out of range turn tokens by some angle or to NaN, and touch nothing else",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const bool table : {false, true}) {
      for (const ContextParallel order :
           {ContextParallel::none, ContextParallel::contiguous, ContextParallel::zigzag}) {
        LaunchForm form{Placement::in_place, Strides::contiguous, PositionSource::ragged};
        form.context_parallel = order;
        if (table) form = form.with_table(AngleSource::half);
        const internal::PreparedKernel kernel = test::prepare(target, internal::lower(one_head(), form));
        bool seen_nan = false;
        for (const std::vector<std::int32_t>& cu_seqlens : kWrong) {
          const Outcome outcome = rotate(kernel, cu_seqlens);
          INFO(target->name() << " " << form.to_json() << " " << cu_seqlens[0] << " " << cu_seqlens[1]);
          bool any_nan = false;
          for (std::size_t i = 0; i < outcome.values.size(); ++i) {
            const bool inside = i >= kGuard && i < kGuard + kTokens * kDim;
            if (!inside) {
              REQUIRE(outcome.values[i] == 1.0F);
            } else if (std::isnan(outcome.values[i])) {
              any_nan = true;
            } else if (table) {
              REQUIRE(std::fabs(outcome.values[i]) == 1.0F);
            } else {
              const std::size_t half = (i - kGuard) % kDim < kDim / 2 ? i + kDim / 2 : i - kDim / 2;
              REQUIRE(std::fabs(std::hypot(outcome.values[i], outcome.values[half]) - std::sqrt(2.0F)) < 1e-5F);
            }
          }
          CHECK(outcome.flags == (any_nan ? kNoTableRow : 0U));
          seen_nan = seen_nan || any_nan;
        }
        CHECK(seen_nan == table);
      }
    }
  }
}
