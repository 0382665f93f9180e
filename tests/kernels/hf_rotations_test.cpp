// Rotated q and k against what Hugging Face transformers' own code made of them (golden/make_hf_rotations.py).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "spec/axes.hpp"
#include "spec/frequencies.hpp"
#include "support/catch.hpp"
#include "support/golden_launch.hpp"
#include "support/golden_rotation.hpp"
#include "support/targets.hpp"
#include "verify/oracle.hpp"

namespace {

using namespace ropejit;
using test::Bits;
using test::Kernels;
using test::Rotated;

/// The largest difference from transformers', in units of A times the norm that a pair of such inputs has at most.
double worst_difference(const Bits& ours, const Bits& theirs, DType dtype, double scale) {
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    worst = std::max(worst, std::fabs(internal::decode(dtype, ours[i]) - internal::decode(dtype, theirs[i])));
  }
  return worst / (scale * std::hypot(4.0, 4.0));
}

internal::Comparison compare(const internal::Oracle& oracle, const test::GoldenRotation& given, const Rotated& ours) {
  internal::Comparison comparison;
  const auto check = [&](const internal::Angles& angles, std::int64_t token, const Operand& operand, const Bits& in,
                         const Bits& out) {
    const std::vector<unsigned char> before = test::bytes_of(ours.dtype, in);
    const std::vector<unsigned char> after = test::bytes_of(ours.dtype, out);
    for (std::int64_t head = 0; head < operand.heads; ++head) {
      const std::size_t at = static_cast<std::size_t>((token * operand.heads + head) * operand.head_dim) *
                             internal::element_bytes(ours.dtype);
      oracle.check(angles, operand, {&before[at], 1}, {&after[at], 1}, {0, token, head, 0}, comparison);
    }
  };
  for (std::int64_t token = 0; token < given.tokens; ++token) {
    std::vector<std::int64_t> positions;  // on every axis
    for (std::int64_t at = token; at < static_cast<std::int64_t>(given.positions.size()); at += given.tokens) {
      positions.push_back(given.positions[static_cast<std::size_t>(at)]);
    }
    const internal::Angles angles = oracle.angles(positions);
    check(angles, token, oracle.spec().q, ours.q_in, ours.q);
    check(angles, token, *oracle.spec().k, ours.k_in, ours.k);
  }
  return comparison;
}

}  // namespace

TEST_CASE("What ropejit reads from a config is what the model's own code does", "[golden]") {
  const std::vector<test::GoldenRotation> cases = test::read_golden_rotations();
  CHECK(cases.size() >= 60);
  std::set<Layout> layouts;
  std::set<AngleSource> tables;
  std::set<Rounding> roundings;
  std::set<std::size_t> rules;
  std::set<AxisOrder> orders;
  std::set<RopeRole> roles;
  for (const test::GoldenRotation& given : cases) {
    layouts.insert(given.stated.layout);
    tables.insert(given.table);
    roundings.insert(given.stated.rounding);
    roles.insert(given.role);
    if (!given.stated.axes.sections.empty()) orders.insert(given.stated.axes.order);
    INFO(given.name);
    RopeSpec parity;
    CHECK_NOTHROW(parity = given.parity());
    INFO(parity.to_string());
    rules.insert(parity.scaling.index());
    CHECK(parity.layout == given.stated.layout);
    CHECK(parity.layout_out == given.stated.layout_out);
    CHECK(parity.direction == given.stated.direction);
    CHECK(parity.theta == given.stated.theta);
    CHECK(parity.rotary_dim == given.stated.rotary_dim);
    CHECK(parity.q == given.stated.q);
    CHECK(parity.k == given.stated.k);
    CHECK(parity.axes == given.stated.axes);
    CHECK(parity.rounding == given.stated.rounding);
    CHECK(parity.angle == AngleRounding::fp32);
    RopeSpec exact = given.exact();
    CHECK(exact.rounding == Rounding::exact);
    CHECK(exact.angle == AngleRounding::exact);
    exact.rounding = parity.rounding;
    exact.angle = parity.angle;
    CHECK(exact == parity);
  }
  CHECK(layouts.size() == 3);
  CHECK(tables.size() == 4);
  CHECK(roundings.size() == 3);
  CHECK(rules.size() >= 8);
  CHECK(orders.size() == 3);
  CHECK(roles.size() == 2);
}

TEST_CASE("Frequencies of a config, dealt to its axes, give transformers' cos and sin", "[golden]") {
  std::size_t close = 0;
  for (const test::GoldenRotation& given : test::read_golden_rotations()) {
    const RopeSpec spec = given.exact();
    INFO(given.name << ": " << spec.to_string());
    const internal::Frequencies ours = internal::frequencies(spec);
    const std::vector<internal::PairAxis> axes = internal::pair_axes(spec);
    CHECK(std::fabs(ours.attention_scale / given.attention_factor - 1) < 1e-15);
    const std::size_t pairs = ours.inv_freq.size();
    REQUIRE(given.cos.size() == pairs * static_cast<std::size_t>(given.tokens));
    for (std::size_t i = 0; i < given.cos.size(); ++i) {
      const std::size_t pair = i % pairs;
      const std::size_t at = axes[pair].axis * static_cast<std::size_t>(given.tokens) + i / pairs;
      const double angle = static_cast<double>(given.positions.at(at)) * ours.inv_freq[pair];
      // Their frequencies are within 8 ulp of ours, and the angle is rounded once more.
      const double bound = ours.attention_scale * (std::fabs(angle) * std::ldexp(9.0, -24) + std::ldexp(1.0, -22));
      INFO("token " << i / pairs << " pair " << pair);
      CHECK(std::fabs(given.cos[i] - ours.attention_scale * std::cos(angle)) <= bound);
      CHECK(std::fabs(given.sin[i] - ours.attention_scale * std::sin(angle)) <= bound);
      close += bound < 1e-2 ? 1U : 0U;
    }
    if (!given.inv_freq) continue;
    for (std::size_t i = 0; i < pairs; ++i) {
      INFO("pair " << i);
      CHECK(std::fabs(given.inv_freq->at(i) - ours.inv_freq[i]) <= ours.inv_freq[i] * std::ldexp(8.0, -23));
    }
  }
  CHECK(close > 10000);
}

TEST_CASE("With transformers' cos and sin, q and k are its own bit for bit", "[numeric][golden]") {
  const std::vector<test::GoldenRotation> cases = test::read_golden_rotations();
  for (const test::TargetPtr& target : test::targets()) {
    Kernels kernels(target);
    for (const test::GoldenRotation& given : cases) {
      for (const test::GoldenOutputs& theirs : given.outputs) {
        INFO(target->name() << " " << given.name << " " << to_string(theirs.dtype));
        CHECK(test::differing(given, test::rotate_with_table(given, kernels, theirs.dtype), theirs) == 0);
      }
    }
  }
}

TEST_CASE("With transformers' frequencies and fp32 angles, q and k are its own", "[numeric][golden]") {
  // Elements whose bits differ all the same. Neither transformers' cos and sin (torch's, within 3.5 ulp) nor ours
  // (within 1.5e-7) are correctly rounded, and next to the middle between two numbers of a 16-bit dtype they may fall
  // on different sides.
  struct Known {
    std::string_view name;
    DType dtype;
    std::size_t count;
  };
  const std::vector<Known> known = {
      {"allenai/OLMo-1B-hf", DType::fp16, 1},
      {"deepseek-ai/DeepSeek-V2", DType::fp16, 1},
  };
  const std::vector<test::GoldenRotation> cases = test::read_golden_rotations();
  for (const test::TargetPtr& target : test::targets()) {
    Kernels kernels(target);
    std::size_t elements = 0;
    std::size_t fp32_elements = 0;
    std::size_t fp32_differing = 0;
    double fp32_worst = 0;
    for (const test::GoldenRotation& given : cases) {
      if (!given.inv_freq) continue;
      RopeSpec spec = given.parity();
      spec.scaling = InvFreqScaling{*given.inv_freq, given.attention_factor};
      spec.axes.frequencies = AxisFrequencies::shared;  // the list has dealt them out
      for (const test::GoldenOutputs& theirs : given.outputs) {
        spec.dtype = theirs.dtype;
        const Rotated ours = test::rotate_at_positions(given, kernels, spec);
        const std::size_t count = test::differing(given, ours, theirs);
        INFO(target->name() << " " << given.name << " " << to_string(theirs.dtype));
        if (theirs.dtype == DType::fp32) {
          const Bits q = test::rotating_lanes(given.stated, given.stated.q, ours.q_in, ours.q);
          const double worst = worst_difference(q, theirs.q, theirs.dtype, given.attention_factor);
          CHECK(worst <= std::ldexp(1.0, -20));
          fp32_elements += theirs.q.size() + theirs.k.size();
          fp32_differing += count;
          fp32_worst = std::max(fp32_worst, worst);
          continue;
        }
        const auto row = std::find_if(known.begin(), known.end(), [&](const Known& one) {
          return one.name == given.name && one.dtype == theirs.dtype;
        });
        CHECK(count == (row == known.end() ? 0 : row->count));
        elements += theirs.q.size() + theirs.k.size();
      }
    }
    CHECK(elements > 100000);
    WARN(target->name() << ": of " << elements << " bf16 and fp16 elements all but those known are transformers'; of "
                        << fp32_elements << " fp32 ones " << fp32_differing << " differ, the worst by " << fp32_worst
                        << " of the longest pair's norm");
  }
}

TEST_CASE("By default q and k of real models are within the bound of exact angles", "[numeric][golden]") {
  const std::vector<test::GoldenRotation> cases = test::read_golden_rotations();
  for (const test::TargetPtr& target : test::targets()) {
    Kernels kernels(target);
    double farthest = 0;
    std::string farthest_name;
    for (const test::GoldenRotation& given : cases) {
      RopeSpec spec = given.exact();
      const test::GoldenOutputs& theirs = given.outputs.front();
      spec.dtype = theirs.dtype;
      const Rotated ours = test::rotate_at_positions(given, kernels, spec);
      const internal::Oracle oracle(spec);
      const internal::Comparison comparison = compare(oracle, given, ours);
      INFO(target->name() << " " << given.name << " " << comparison.to_string());
      CHECK(comparison.passed());
      CHECK(comparison.count() == static_cast<std::int64_t>(ours.q.size() + ours.k.size()));
      const double away = worst_difference(test::rotating_lanes(spec, spec.q, ours.q_in, ours.q), theirs.q,
                                           theirs.dtype, given.attention_factor);
      if (away > farthest && given.length.value_or(0) <= 131072) {
        farthest = away;
        farthest_name = given.name;
      }
    }
    // Not a failure: transformers rounds angles to fp32 and most models' tables to bf16.
    WARN(target->name() << ": exact angles in bf16 are at most " << farthest
                        << " of the longest pair's norm from transformers' (" << farthest_name << ")");
  }
}
