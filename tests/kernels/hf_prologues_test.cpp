// Normed and rotated q and k against what Hugging Face transformers' own attention made of them
// (golden/make_hf_prologues.py).
#include <algorithm>
#include <cmath>
#include <cstdint>
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
using test::GoldenNormed;
using test::GoldenPrologue;

DirectCase direct_case(const GoldenPrologue& given, const RopeSpec& spec) {
  DirectCase result;
  result.spec = spec;
  result.form = LaunchForm::out_of_place_ids();
  result.positions = given.positions;
  result.q = given.q.projected;
  result.k = given.k.projected;
  result.q_weight = given.q.weight;
  result.k_weight = given.k.weight;
  return result;
}

/// The same with transformers' own cos and sin, a row for each token.
DirectCase table_case(const GoldenPrologue& given, const RopeSpec& spec) {
  DirectCase result = direct_case(given, spec);
  result.form = result.form.with_table(AngleSource::half, given.dtype);
  for (std::int64_t token = 0; token < given.tokens; ++token) {
    result.positions[static_cast<std::size_t>(token)] = token;
  }
  result.cos = given.cos;
  result.sin = given.sin;
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
  std::int64_t most_ulps = 0;
  std::int64_t heads = 0;
  std::int64_t heads_of_equal_r = 0;
  std::int64_t differing_of_equal_r = 0;

  std::string to_string() const {
    return std::to_string(differing) + " of " + std::to_string(elements) + " elements differ, by at most " +
           std::to_string(most_ulps) + " ulp; r is equal in " + std::to_string(heads_of_equal_r) + " of " +
           std::to_string(heads) + " heads";
  }
};

void compare(const GoldenPrologue& given, const GoldenNormed& theirs, double eps, const Bits& ours, Difference& sum) {
  REQUIRE(ours.size() == theirs.rotated.size());
  const auto dim = static_cast<std::size_t>(theirs.operand.head_dim);
  for (std::size_t head = 0; head < theirs.r.size(); ++head) {
    const auto first = static_cast<std::ptrdiff_t>(head * dim);
    const Bits lanes(theirs.projected.begin() + first, theirs.projected.begin() + first + theirs.operand.head_dim);
    const bool equal_r = test::reference_reciprocal(test::decoded(given.dtype, lanes), eps) == theirs.r[head];
    ++sum.heads;
    sum.heads_of_equal_r += equal_r ? 1 : 0;
    for (std::size_t i = head * dim; i < (head + 1) * dim; ++i) {
      ++sum.elements;
      if (ours[i] == theirs.rotated[i]) continue;
      ++sum.differing;
      sum.differing_of_equal_r += equal_r ? 1 : 0;
      sum.most_ulps =
          std::max(sum.most_ulps, std::abs(place_of(given.dtype, ours[i]) - place_of(given.dtype, theirs.rotated[i])));
    }
  }
}

Difference compare(const GoldenPrologue& given, const RopeSpec& spec, const DirectResult& ours) {
  Difference sum;
  compare(given, given.q, spec.q.norm->eps, ours.q, sum);
  compare(given, given.k, spec.k->norm->eps, ours.k, sum);
  return sum;
}

}  // namespace

TEST_CASE("The documented tree's norm is transformers' own wherever the two have one reciprocal", "[golden]") {
  std::int64_t equal = 0;
  std::int64_t heads = 0;
  for (const GoldenPrologue& given : test::read_golden_prologues()) {
    const RopeSpec spec = given.spec(true);
    INFO(given.name << " " << spec.to_string());
    CHECK((spec.round_after.norm && spec.round_after.weight));
    for (const bool of_k : {false, true}) {
      const GoldenNormed& theirs = of_k ? given.k : given.q;
      const Operand& operand = of_k ? *spec.k : spec.q;
      REQUIRE(operand.norm);
      CHECK(operand.heads == theirs.operand.heads);
      CHECK(operand.norm->eps == theirs.operand.norm->eps);
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
  // Elsewhere transformers adds in another order, and takes the machine's rsqrt.
  CHECK(4 * equal > heads);
  WARN("of " << heads << " heads " << equal << " have transformers' own reciprocal");
}

TEST_CASE("With transformers' cos and sin, prologues are its own bit for bit but for heads of another reciprocal",
          "[numeric][golden]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const GoldenPrologue& given : test::read_golden_prologues()) {
      const DirectCase here = table_case(given, given.spec(true));
      INFO(target->name() << " " << given.name << " " << here.spec.to_string());
      const internal::RotationPlan plan = internal::lower(here.spec, here.form);
      const DirectResult ours = test::launch_direct(test::prepare_one(target, plan, false), here);
      const Difference difference = compare(given, here.spec, ours);
      INFO(difference.to_string());
      CHECK(difference.differing_of_equal_r == 0);
      CHECK(difference.heads_of_equal_r > 0);
      if (given.dtype == DType::fp32) continue;
      CHECK(1000 * difference.differing <= difference.elements);
      CHECK(difference.most_ulps <= 1);
    }
  }
}

TEST_CASE("With transformers' own cos, sin and reciprocals, prologues are its own bit for bit, in every head",
          "[numeric][golden]") {
  for (const test::TargetPtr& target : test::targets()) {
    Difference all;
    std::int64_t launches = 0;
    for (const GoldenPrologue& given : test::read_golden_prologues()) {
      RopeSpec spec = given.spec(true);
      spec.q.norm->statistic = spec.k->norm->statistic = Statistic::given;
      DirectCase here = table_case(given, spec);
      here.q_r = test::encoded(DType::fp32, {given.q.r.begin(), given.q.r.end()});
      here.k_r = test::encoded(DType::fp32, {given.k.r.begin(), given.k.r.end()});
      const internal::RotationPlan plan = internal::lower(here.spec, here.form);
      const auto generic = internal::generic_variant(*target, plan);
      REQUIRE(generic);
      for (const internal::PreparedKernel& kernel :
           {test::prepare_one(target, plan, false), test::prepare_one(target, plan, true),
            test::kernel_of(target, plan, *generic, *generic)}) {
        INFO(target->name() << " " << given.name << " " << here.spec.to_string());
        const Difference difference = compare(given, here.spec, test::launch_direct(kernel, here));
        INFO(difference.to_string());
        CHECK(difference.differing == 0);
        all.elements += difference.elements;
        all.differing += difference.differing;
        all.heads += difference.heads;
        ++launches;
      }
    }
    WARN(target->name() << ", with transformers' own r: " << all.differing << " of " << all.elements << " elements of "
                        << all.heads << " heads differ, in " << launches << " launches");
  }
}

TEST_CASE("By default prologues of real models are within the bound of exact arithmetic", "[numeric][golden]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const GoldenPrologue& given : test::read_golden_prologues()) {
      const DirectCase here = direct_case(given, given.spec(false));
      INFO(target->name() << " " << given.name << " " << here.spec.to_string());
      CHECK_FALSE((here.spec.round_after.norm || here.spec.round_after.weight));
      const internal::RotationPlan plan = internal::lower(here.spec, here.form);
      for (const bool universal : {false, true}) {
        const DirectResult ours = test::launch_direct(test::prepare_one(target, plan, universal), here);
        const internal::Comparison comparison = test::compare_direct(here, ours);
        INFO(comparison.to_string());
        CHECK(comparison.passed());
        CHECK(comparison.count() == static_cast<std::int64_t>(here.q.size() + here.k.size()));
      }
    }
  }
}
