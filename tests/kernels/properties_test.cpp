// What a rotary embedding must satisfy whatever its frequencies are: no oracle needed.
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "ropejit/error.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/check_case.hpp"
#include "support/random_spec.hpp"

namespace {

using namespace ropejit;

constexpr std::int64_t kHeads = 3;
constexpr std::int64_t kDim = 32;

RopeSpec yarn_spec(Layout layout = Layout::split_half) {
  RopeSpec spec;
  spec.layout = layout;
  spec.dtype = DType::fp32;
  spec.rotary_dim = kDim;
  spec.q = {kHeads, kDim, 0};
  YarnScaling yarn;
  yarn.factor = 8.0;
  yarn.original_max_position_embeddings = 4096;
  spec.scaling = yarn;  // an attention scale of 1.2
  return spec;
}

RopeSpec with(RopeSpec spec, Direction direction) {
  spec.direction = direction;
  return spec;
}

/// [tokens, heads, lanes] rotated out of place, token s at positions[s].
std::vector<float> rotate(const test::TargetPtr& target, const RopeSpec& spec,
                          const std::vector<std::int64_t>& positions, const std::vector<float>& in) {
  const internal::PreparedKernel kernel =
      test::prepare_one(target, internal::lower(spec, LaunchForm::out_of_place_ids()), false);
  const internal::DeviceBuffer from = target->allocate(in.size() * 4);
  const internal::DeviceBuffer to = target->allocate(in.size() * 4);
  const internal::DeviceBuffer ids = target->allocate(positions.size() * 8);
  target->upload(from.data(), in.data(), in.size() * 4);
  target->upload(ids.data(), positions.data(), positions.size() * 8);
  RopeArgs args;
  args.q = TensorView::input(from.data());
  args.q_out.data = to.data();
  args.tokens = static_cast<std::int64_t>(positions.size());
  args.positions = Positions::ids64(static_cast<const std::int64_t*>(ids.data()));
  const LaunchStatus status = internal::launch_prepared(kernel, args, nullptr);
  INFO(status.message());
  REQUIRE(status);
  target->synchronize();
  std::vector<float> out(in.size());
  target->download(out.data(), to.data(), out.size() * 4);
  return out;
}

std::vector<float> random_values(std::size_t tokens) {
  std::mt19937 random(31);
  std::normal_distribution<float> normal;
  std::vector<float> values(tokens * kHeads * kDim);
  for (float& value : values) value = normal(random);
  return values;
}

double worst_difference(const std::vector<float>& a, const std::vector<float>& b, double scale = 1.0) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::fabs(double{a[i]} - scale * double{b[i]}));
  return worst;
}

const std::vector<std::int64_t> kPositions = {0, 1, 77, 131071, -5, 1LL << 33};

}  // namespace

TEST_CASE("Inverse undoes forward, and the adjoint after forward scales by A squared", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const std::vector<float> in = random_values(kPositions.size());
    const std::vector<float> turned = rotate(target, yarn_spec(), kPositions, in);
    CHECK(worst_difference(turned, in) > 0.1);
    const double scale = internal::lower(yarn_spec(), LaunchForm::in_place_ids()).attention_scale;
    CHECK(scale > 1.1);
    INFO(target->name());
    CHECK(worst_difference(rotate(target, with(yarn_spec(), Direction::inverse), kPositions, turned), in) < 3e-6);
    CHECK(worst_difference(rotate(target, with(yarn_spec(), Direction::adjoint), kPositions, turned), in,
                           scale * scale) < 5e-6);
  }
}

TEST_CASE("A shift by m after forward at p is forward at p + m", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const std::vector<float> in = random_values(kPositions.size());
    const std::vector<std::int64_t> moves = {5, -1, 4000, -131071, 1LL << 31, -(1LL << 33)};
    std::vector<std::int64_t> ends;
    for (std::size_t i = 0; i < moves.size(); ++i) ends.push_back(kPositions[i] + moves[i]);
    const std::vector<float> turned = rotate(target, yarn_spec(), kPositions, in);
    const std::vector<float> moved = rotate(target, with(yarn_spec(), Direction::shift), moves, turned);
    INFO(target->name());
    CHECK(worst_difference(moved, rotate(target, yarn_spec(), ends, in)) < 5e-6);
  }
}

TEST_CASE("The two layouts are one rotation under the permutation of lanes, and writing the other one permutes",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const auto permuted = [](const std::vector<float>& split) {
      std::vector<float> interleaved(split.size());
      for (std::size_t row = 0; row < split.size(); row += kDim) {
        for (std::size_t i = 0; i < kDim / 2; ++i) {
          interleaved[row + 2 * i] = split[row + i];
          interleaved[row + 2 * i + 1] = split[row + kDim / 2 + i];
        }
      }
      return interleaved;
    };
    const std::vector<float> in = random_values(kPositions.size());
    const std::vector<float> split = rotate(target, yarn_spec(), kPositions, in);
    INFO(target->name());
    CHECK(rotate(target, yarn_spec(Layout::interleaved), kPositions, permuted(in)) == permuted(split));
    RopeSpec to_interleaved = yarn_spec();
    to_interleaved.layout_out = Layout::interleaved;
    CHECK(rotate(target, to_interleaved, kPositions, in) == permuted(split));
    RopeSpec to_split = yarn_spec(Layout::interleaved);
    to_split.layout_out = Layout::split_half;
    CHECK(rotate(target, to_split, kPositions, permuted(in)) == split);
  }
}

TEST_CASE("Scores depend on the difference of positions alone, and norms grow by A alone", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const std::vector<float> in = random_values(2);
    const double scale = internal::lower(yarn_spec(), LaunchForm::in_place_ids()).attention_scale;
    const auto score = [&](std::int64_t p, std::int64_t q) {
      const std::vector<float> out = rotate(target, yarn_spec(), {p, q}, in);
      double sum = 0;
      for (std::size_t i = 0; i < kDim; ++i) sum += double{out[i]} * double{out[kHeads * kDim + i]};
      return sum;
    };
    const double near = score(10, 3);
    INFO(target->name());
    CHECK(std::fabs(score(1000010, 1000003) - near) < 1e-4);
    CHECK(std::fabs(score(-90, -97) - near) < 1e-4);
    CHECK(std::fabs(score(10, 4) - near) > 1e-3);
    const std::vector<float> out = rotate(target, yarn_spec(), {123456, 7}, in);
    double before = 0;
    double after = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
      before += double{in[i]} * double{in[i]};
      after += double{out[i]} * double{out[i]};
    }
    CHECK(std::fabs(after / before - scale * scale) < 1e-5);
  }
}

TEST_CASE("Random rotations keep norms but for A, are undone, turn back, move on, and are one in both layouts",
          "[numeric]") {
  std::mt19937_64 random(2026);
  for (int i = 0; i < 6; ++i) {
    // Of all rules and sizes; in the order of lanes, axes and roundings that the formulas below are for.
    RopeSpec drawn = test::random_spec(random);
    RopeSpec spec;
    spec.dtype = DType::fp32;
    spec.theta = drawn.theta;
    spec.rotary_dim = drawn.rotary_dim;
    spec.scaling = drawn.scaling;
    spec.max_length = drawn.max_length;
    spec.q = {2, spec.rotary_dim, 0};
    const auto lanes = static_cast<std::size_t>(spec.rotary_dim);
    const std::vector<std::int64_t> moves = {3, -4, 1000, -70000, 12, -(1LL << 20)};
    std::vector<std::int64_t> ends;
    for (std::size_t t = 0; t < moves.size(); ++t) ends.push_back(kPositions[t] + moves[t]);
    std::vector<float> in(kPositions.size() * 2 * lanes);
    std::normal_distribution<float> normal;
    for (float& value : in) value = normal(random);
    const double scale = internal::lower(spec, LaunchForm::in_place_ids()).attention_scale;
    for (const test::TargetPtr& target : test::targets()) {
      INFO(target->name() << " " << spec.to_string());
      const std::vector<float> turned = rotate(target, spec, kPositions, in);
      for (std::size_t row = 0; row < in.size(); row += lanes) {
        double before = 0;
        double after = 0;
        for (std::size_t l = row; l < row + lanes; ++l) {
          before += double{in[l]} * double{in[l]};
          after += double{turned[l]} * double{turned[l]};
        }
        CHECK(std::fabs(after - scale * scale * before) <= 4e-6 * scale * scale * before);
      }
      CHECK(worst_difference(rotate(target, with(spec, Direction::inverse), kPositions, turned), in) < 1e-5);
      CHECK(worst_difference(rotate(target, with(spec, Direction::adjoint), kPositions, turned), in, scale * scale) <
            1e-5 * scale * scale);
      CHECK(worst_difference(rotate(target, with(spec, Direction::shift), moves, turned),
                             rotate(target, spec, ends, in)) < 1e-5 * scale);
      const auto permuted = [&](const std::vector<float>& split) {
        std::vector<float> result(split.size());
        for (std::size_t row = 0; row < split.size(); row += lanes) {
          for (std::size_t pair = 0; pair < lanes / 2; ++pair) {
            result[row + 2 * pair] = split[row + pair];
            result[row + 2 * pair + 1] = split[row + lanes / 2 + pair];
          }
        }
        return result;
      };
      RopeSpec interleaved = spec;
      interleaved.layout = Layout::interleaved;
      CHECK(rotate(target, interleaved, kPositions, permuted(in)) == permuted(turned));
    }
  }
}
