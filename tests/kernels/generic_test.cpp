#include <random>
#include <string>
#include <vector>

#include "codegen/generic.hpp"
#include "launch/generic_variant.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/check_case.hpp"
#include "support/random_spec.hpp"

using namespace ropejit;

namespace {

internal::PreparedKernel generic_kernel(const test::TargetPtr& target, const internal::RotationPlan& plan) {
  const auto generic = internal::generic_variant(*target, plan);
  REQUIRE(generic);
  return test::kernel_of(target, plan, *generic, *generic);
}

}  // namespace

TEST_CASE("The generic kernel serves every random spec, form and arrangement within the bound", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(771);
    for (int i = 0; i < 30 * test::random_cases(40); ++i) {
      const test::NumericCase given = test::random_case(random);
      INFO(target->name() << " case " << i << ": " << given.to_string());
      const test::NumericResult result =
          test::run_case(generic_kernel(target, internal::lower(given.spec, given.form)), given, random());
      INFO(result.to_string());
      REQUIRE(result.passed());
    }
  }
}

TEST_CASE("The generic kernel gives the bits of a kernel of the plan's own", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(772);
    for (int i = 0; i < test::random_cases(25); ++i) {
      const test::NumericCase given = test::random_case(random);
      INFO(target->name() << " case " << i << ": " << given.to_string());
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const std::uint64_t values = random();
      const test::NumericResult own = test::run_case(test::prepare_one(target, plan, true), given, values);
      const test::NumericResult generic = test::run_case(generic_kernel(target, plan), given, values);
      INFO(generic.to_string());
      CHECK(generic.out_bytes == own.out_bytes);
      CHECK(generic.statistics == own.statistics);
    }
  }
}

TEST_CASE("A GPU of a later minor version takes the generic kernel of its generation") {
  const auto arch_for = [](const char* arch) {
    const internal::GenericImage* const image = internal::generic_image_for(arch);
    return std::string(image == nullptr ? "none" : image->arch);
  };
  CHECK(arch_for("host-nothing") == "none");
  CHECK(arch_for("sm_70") == "none");
  CHECK(arch_for("sm_999") == "none");
  if (arch_for("sm_80") == "none") {
    WARN("built without NVRTC: no generic kernels for GPUs");
    return;
  }
  const std::vector<std::pair<const char*, const char*>> expected = {
      {"sm_75", "sm_75"}, {"sm_80", "sm_80"}, {"sm_86", "sm_80"},   {"sm_87", "sm_80"},
      {"sm_89", "sm_80"}, {"sm_90", "sm_90"}, {"sm_103", "sm_100"}, {"sm_121", "sm_120"}};
  for (const auto& [device, image] : expected) {
    INFO(device);
    CHECK(arch_for(device) == image);
  }
}
