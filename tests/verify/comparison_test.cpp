#include "verify/comparison.hpp"

#include <limits>

#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
}  // namespace

TEST_CASE("an element passes up to its bound and not beyond") {
  struct Row {
    double expected;
    double bound;
    double got;
    bool passes;
  };
  const Row row = GENERATE(values<Row>({
      {1.0, 0.5, 1.5, true},
      {1.0, 0.5, 1.5000001, false},
      {1.0, 0.0, 1.0, true},
      {1.0, 0.5, kNaN, false},
      {1.0, 0.5, kInfinity, false},
      {kNaN, kInfinity, kNaN, true},
      {kNaN, kInfinity, 1.0, false},
      {kInfinity, kInfinity, kInfinity, true},
      {kInfinity, kInfinity, -kInfinity, false},
      {kInfinity, kInfinity, 65504.0, false},
      {70000.0, 32.0, kInfinity, true},  // where fp16 rounds to infinity
      {70000.0, 32.0, -kInfinity, false},
      {70000.0, 32.0, 65504.0, false},
      {65519.95, 16.0, kInfinity, true},  // within the slack of it
      {65519.0, 16.0, kInfinity, false},
  }));
  INFO("expected " << row.expected << " bound " << row.bound << " got " << row.got);
  Comparison result;
  result.rotated(DType::fp16, {}, row.expected, row.bound, 0.1, row.got);
  CHECK(result.passed() == row.passes);
  CHECK(result.count() == 1);
  CHECK(result.first_failure().has_value() == !row.passes);
  CHECK((result.worst_ratio() > 1) == !row.passes);
}

TEST_CASE("a copied element must keep its bits, the sign of zero too") {
  Comparison result;
  result.copied(DType::bf16, {0, 0, 0, 0}, 0x7fc1, 0x7fc1);
  CHECK(result.passed());
  result.copied(DType::bf16, {0, 0, 0, 1}, 0x0000, 0x8000);
  CHECK(result.failures() == 1);
}

TEST_CASE("merged comparisons know the worst of both and the failure that comes first") {
  Comparison early;
  Comparison late;
  early.rotated(DType::bf16, {0, 7, 3, 1}, 1.0, 0.25, 0, 3.0);
  late.rotated(DType::bf16, {0, 2, 9, 5}, 1.0, 0.5, 0, 2.0);
  late.rotated(DType::bf16, {0, 2, 9, 6}, 1.0, 0.5, 0, 1.25);
  early.merge(late);
  CHECK(early.count() == 3);
  CHECK(early.failures() == 2);
  CHECK(early.worst_error() == 2.0);
  CHECK(early.bound_at_worst() == 0.25);
  CHECK(early.worst_ratio() == 8.0);
  REQUIRE(early.first_failure().has_value());
  CHECK(early.first_failure()->index == ElementIndex{0, 2, 9, 5});
  CHECK(early.to_string().find("token 2, head 9, lane 5") != std::string::npos);
}
