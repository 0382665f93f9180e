#include <cstdlib>
#include <random>
#include <string>

#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/random_spec.hpp"

namespace {

using namespace ropejit;

/// ROPEJIT_TEST_CASES: how many random cases a run draws.
int cases(int usual) {
  const char* text = std::getenv("ROPEJIT_TEST_CASES");
  return text != nullptr ? std::atoi(text) : usual;
}

std::uint64_t seed() {
  const char* text = std::getenv("ROPEJIT_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20260101;
}

}  // namespace

TEST_CASE("Every random spec, form and arrangement of tensors comes out within the bound", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(seed());
    for (int i = 0; i < cases(40); ++i) {
      const test::NumericCase given = test::random_case(random);
      INFO(target->name() << " case " << i << ": " << given.to_string());
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      const test::NumericResult result = test::run_case(kernel, given, random());
      INFO(result.to_string());
      REQUIRE(result.passed());
    }
  }
}
