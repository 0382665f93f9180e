// q, k and v through whole prologues against what Hugging Face transformers' own models made of them
// (golden/make_hf_prologues.py).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "launch/generic_variant.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/check_case.hpp"
#include "support/direct_launch.hpp"
#include "support/golden_prologue.hpp"
#include "support/norm_reference.hpp"

namespace {

using namespace ropejit;
using test::Bits;
using test::DirectCase;
using test::DirectResult;
using test::GoldenOperand;
using test::GoldenPrologue;

Bits floats(const std::vector<float>& values) { return test::encoded(DType::fp32, {values.begin(), values.end()}); }

/// The launch of the case's operands that go through stages. `given_r`: by transformers' own reciprocals.
DirectCase direct_case(const GoldenPrologue& given, const RopeSpec& spec, bool given_r) {
  DirectCase result;
  result.spec = spec;
  if (!given.k.has_stages()) result.spec.k.reset();
  if (!given.v.has_stages()) result.spec.v.reset();
  result.form = LaunchForm::out_of_place_ids();
  result.positions = given.positions;
  const auto fill = [&](Operand& operand, const GoldenOperand& golden, Bits DirectCase::*in, Bits DirectCase::*weight,
                        Bits DirectCase::*bias, Bits DirectCase::*scales, Bits DirectCase::*r) {
    result.*in = golden.projected;
    result.*weight = golden.weight;
    result.*bias = golden.bias;
    if (operand.head_scales) result.*scales = floats(golden.head_scales);
    if (!given_r || !operand.norm) return;
    operand.norm->statistic = Statistic::given;
    result.*r = floats(golden.r);
  };
  fill(result.spec.q, given.q, &DirectCase::q, &DirectCase::q_weight, &DirectCase::q_norm_bias,
       &DirectCase::q_head_scales, &DirectCase::q_r);
  if (result.spec.k) {
    fill(*result.spec.k, given.k, &DirectCase::k, &DirectCase::k_weight, &DirectCase::k_norm_bias,
         &DirectCase::k_head_scales, &DirectCase::k_r);
  }
  if (result.spec.v) {
    fill(*result.spec.v, given.v, &DirectCase::v, &DirectCase::v_weight, &DirectCase::v_norm_bias,
         &DirectCase::v_head_scales, &DirectCase::v_r);
  }
  return result;
}

/// The same with transformers' own cos and sin: a row for each token, or, where a stage wants to know the positions,
/// at each token's.
DirectCase table_case(const GoldenPrologue& given, const RopeSpec& spec, bool given_r) {
  DirectCase result = direct_case(given, spec, given_r);
  if (!given.rotates()) return result;
  result.form = result.form.with_table(AngleSource::half, given.table_dtype);
  if (!spec.q.temperature) {
    for (std::int64_t token = 0; token < given.tokens; ++token) {
      result.positions[static_cast<std::size_t>(token)] = token;
    }
    result.cos = given.cos;
    result.sin = given.sin;
    return result;
  }
  const auto pairs = static_cast<std::size_t>(given.rotary_dim / 2);
  const std::int64_t last = *std::max_element(given.positions.begin(), given.positions.end());
  for (auto [from, to] : {std::pair{&given.cos, &result.cos}, {&given.sin, &result.sin}}) {
    to->assign((static_cast<std::size_t>(last) + 1) * pairs, 0);
    for (std::size_t token = 0; token < given.positions.size(); ++token) {
      const auto row = from->begin() + static_cast<std::ptrdiff_t>(token * pairs);
      std::copy_n(row, pairs, to->begin() + given.positions[token] * static_cast<std::int64_t>(pairs));
    }
  }
  return result;
}

/// The bits as integers in the order of the numbers, a step for each ulp.
std::int64_t place_of(DType dtype, internal::ElementBits bits) {
  const std::int64_t sign = std::int64_t{1} << (8 * size_of(dtype) - 1);
  return (bits & sign) != 0 ? sign - static_cast<std::int64_t>(bits) : static_cast<std::int64_t>(bits);
}

struct Difference {
  std::int64_t elements = 0;
  std::int64_t differing = 0;
  std::int64_t by_more = 0;  // than an ulp

  std::string to_string() const {
    return std::to_string(differing) + " of " + std::to_string(elements) + " elements differ, " +
           std::to_string(by_more) + " of them by more than an ulp";
  }
  void add(const Difference& other) {
    elements += other.elements;
    differing += other.differing;
    by_more += other.by_more;
  }
};

Difference compare(const GoldenPrologue& given, const DirectResult& ours) {
  Difference sum;
  for (auto [golden, made] :
       {std::pair{&given.q, &ours.q}, std::pair{&given.k, &ours.k}, std::pair{&given.v, &ours.v}}) {
    if (!golden->has_stages()) continue;
    REQUIRE(made->size() == golden->made.size());
    for (std::size_t i = 0; i < made->size(); ++i) {
      ++sum.elements;
      const internal::ElementBits a = (*made)[i];
      const internal::ElementBits b = golden->made[i];
      if (a == b) continue;
      ++sum.differing;
      if (std::abs(place_of(given.dtype, a) - place_of(given.dtype, b)) > 1) ++sum.by_more;
    }
  }
  return sum;
}

bool has_rms_norms(const RopeSpec& spec) { return spec.q.norm && spec.q.norm->kind == NormKind::rms; }

/// The fast kernel, on a GPU the one for any strides, and the one that reads its plan. The host's compiler takes a
/// second for each, and other tests hold it to their having one another's bits.
std::vector<internal::PreparedKernel> kernels_of(const test::TargetPtr& target, const internal::RotationPlan& plan) {
  std::vector<internal::PreparedKernel> kernels{test::prepare_quickly(target, plan, false)};
  if (target->name() != "host") kernels.push_back(test::prepare_one(target, plan, true));
  if (const auto generic = internal::generic_variant(*target, plan)) {
    kernels.push_back(test::kernel_of(target, plan, *generic, *generic));
  }
  return kernels;
}

}  // namespace

TEST_CASE("The documented tree's norm is transformers' own wherever the two have one reciprocal", "[golden]") {
  std::int64_t equal = 0;
  std::int64_t heads = 0;
  for (const GoldenPrologue& given : test::read_golden_prologues()) {
    const RopeSpec spec = given.spec(true);
    const bool usual = given.rounding == "N1" && spec.q.order.empty() && spec.q.norm->span == NormSpan::head;
    if (!usual) continue;
    INFO(given.name << " " << spec.to_string());
    for (const bool of_k : {false, true}) {
      const GoldenOperand& theirs = of_k ? given.k : given.q;
      const Operand& operand = of_k ? *spec.k : spec.q;
      const Bits normed = test::reference_normed(spec, operand, theirs.projected, theirs.weight);
      REQUIRE(normed.size() == theirs.normed.size());
      for (std::size_t head = 0; head < theirs.r.size(); ++head) {
        const auto first = static_cast<std::ptrdiff_t>(head) * operand.head_dim;
        const auto part = [&](const Bits& bits) {
          return Bits(bits.begin() + first, bits.begin() + first + operand.head_dim);
        };
        const float r =
            test::reference_reciprocal(test::decoded(given.dtype, part(theirs.projected)), operand.norm->eps);
        ++heads;
        INFO("head " << head << ": " << r << ", theirs " << theirs.r[head]);
        CHECK(std::fabs(r - theirs.r[head]) <= 4 * 0x1p-23F * r);
        if (r != theirs.r[head]) continue;
        ++equal;
        CHECK(part(normed) == part(theirs.normed));
      }
    }
  }
  CHECK(heads >= 100);
  // Elsewhere transformers adds in another order, and takes the machine's rsqrt.
  CHECK(4 * equal > heads);
  WARN("of " << heads << " heads " << equal << " have transformers' own reciprocal");
}

TEST_CASE("With transformers' own cos, sin and reciprocals, prologues are its own bit for bit", "[numeric][golden]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::map<std::string, Difference> of_rounding;
    for (const GoldenPrologue& given : test::read_golden_prologues()) {
      const RopeSpec spec = given.spec(true);
      if (!given.q.has_stages() || (spec.q.norm && !has_rms_norms(spec))) continue;
      const DirectCase here = table_case(given, spec, true);
      INFO(target->name() << " " << given.name << " " << here.spec.to_string());
      for (const internal::PreparedKernel& kernel : kernels_of(target, internal::lower(here.spec, here.form))) {
        const Difference difference = compare(given, test::launch_direct(kernel, here));
        INFO(difference.to_string());
        CHECK(difference.elements > 0);
        CHECK(difference.differing == 0);
        of_rounding[given.rounding].add(difference);
      }
    }
    for (const char* rounding : {"N1", "N2", "N3", "N4", "N5", "none"}) {
      INFO(rounding);
      CHECK(of_rounding[rounding].elements > 2000);
      WARN(target->name() << ", " << rounding << " with transformers' own r: " << of_rounding[rounding].to_string());
    }
  }
}

// What may differ where the statistic is ours. r is another sum, and another root, than torch's, so it may be an ulp
// off and move what lies beside the middle of two numbers; so may the mean of a LayerNorm (N7 to N9), and torch's own
// (StableLM, N9) is x r + (-m r). L2 (N11) is another function as it is written: its root, its quotient with the root
// of head_dim and its product are each rounded to the dtype, where ours has one reciprocal and a constant.
TEST_CASE("With transformers' cos and sin alone, few elements of prologues differ from its own", "[numeric][golden]") {
  const std::map<std::string, double> most = {{"N1", 1e-3}, {"N2", 1e-3}, {"N3", 1e-3}, {"N4", 1e-3}, {"N5", 1e-3},
                                              {"N7", 1e-3}, {"N8", 1e-3}, {"N9", 1e-3}, {"N11", 0.6}, {"none", 0}};
  for (const test::TargetPtr& target : test::targets()) {
    std::map<std::string, Difference> of_rounding;
    for (const GoldenPrologue& given : test::read_golden_prologues()) {
      if (!given.q.has_stages() || given.dtype == DType::fp32) continue;
      const DirectCase here = table_case(given, given.spec(true), false);
      INFO(target->name() << " " << given.name << " " << here.spec.to_string());
      const internal::RotationPlan plan = internal::lower(here.spec, here.form);
      const DirectResult ours = test::launch_direct(test::prepare_quickly(target, plan, false), here);
      of_rounding[given.rounding].add(compare(given, ours));
    }
    for (const auto& [rounding, difference] : of_rounding) {
      INFO(rounding << ": " << difference.to_string());
      REQUIRE(most.count(rounding) == 1);
      CHECK(static_cast<double>(difference.differing) <= most.at(rounding) * static_cast<double>(difference.elements));
      WARN(target->name() << ", " << rounding << " with r of our own: " << difference.to_string());
    }
    CHECK(of_rounding.size() == most.size());
  }
}

TEST_CASE("By default prologues of real models are within the bound of exact arithmetic", "[numeric][golden]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const GoldenPrologue& given : test::read_golden_prologues()) {
      if (!given.q.has_stages()) continue;
      const DirectCase here = direct_case(given, given.spec(false), false);
      INFO(target->name() << " " << given.name << " " << here.spec.to_string());
      CHECK(here.spec.round_after == RoundAfter{});
      const internal::RotationPlan plan = internal::lower(here.spec, here.form);
      for (const bool universal : {false, true}) {
        if (universal && target->name() == "host") continue;  // as kernels_of
        const DirectResult ours = test::launch_direct(test::prepare_quickly(target, plan, universal), here);
        const internal::Comparison comparison = test::compare_direct(here, ours);
        INFO(comparison.to_string());
        CHECK(comparison.passed());
        CHECK(comparison.count() == static_cast<std::int64_t>(here.q.size() + here.k.size() + here.v.size()));
      }
    }
  }
}
