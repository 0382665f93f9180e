#include "bench/report.hpp"

#include "bench/environment.hpp"
#include "bench/size_class.hpp"
#include "support/catch.hpp"

using namespace ropejit::bench;

namespace {

Record record(const std::string& cell, std::int64_t bytes, const std::string& variant, double ratio,
              std::int64_t records = 1, bool is_default = false) {
  Record made;
  made.cell = cell;
  made.tokens = 4096;
  made.l2 = "hot";
  made.selection = "best";
  made.records = records;
  made.variant = variant;
  made.is_default = is_default;
  made.floor_us = 10;
  made.us = 10 * ratio;
  made.ratio = ratio;
  made.floor = "memcpy";
  made.bytes = bytes;
  made.environment.gpu = "NVIDIA H100";
  made.environment.command = "ropejit_bench --set gate";
  return made;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("Classes of size meet at 5 and 150 MB") {
  CHECK(size_class(1).limit == 1.08);
  CHECK(size_class(5'000'000).limit == 1.08);
  CHECK(size_class(5'000'001).limit == 1.05);
  CHECK(size_class(150'000'000).limit == 1.05);
  CHECK(size_class(150'000'001).limit == 1.02);
}

TEST_CASE("A cell's best is its lowest ratio, and its default the one that is marked") {
  const auto cells = summarize_cells(
      {record("c", 1000, "x", 1.3, 3), record("c", 1000, "y", 1.1, 3), record("c", 1000, "z", 1.21, 3, true)});
  REQUIRE(cells.size() == 1);
  CHECK(cells[0].best == "y");
  CHECK(cells[0].best_ratio == 1.1);
  CHECK(cells[0].untuned == "z");
  CHECK(cells[0].over_best() == Approx(1.1));
}

TEST_CASE("A report counts what meets each class's target, worst cells first") {
  const std::string text =
      report({record("small-good", 1'000'000, "v", 1.0804, 1, true),
              record("small-bad", 1'000'000, "v", 1.0806, 1, true), record("middle", 50'000'000, "v", 1.04, 2, false),
              record("middle", 50'000'000, "w", 1.30, 2, true), record("large", 500'000'000, "v", 1.021, 1, true)});
  CHECK(has(text, "NVIDIA H100"));
  CHECK(has(text, "    ropejit_bench --set gate\n"));
  CHECK(has(text, "| below 5 MB | 1.08 | 1 of 2 | 1 of 2 | 2 of 2 |\n"));
  CHECK(has(text, "| 5 to 150 MB | 1.05 | 0 of 1 | 1 of 1 | 0 of 1 |\n"));
  CHECK(has(text, "| above 150 MB | 1.02 | 0 of 1 | 0 of 1 | 1 of 1 |\n"));
  CHECK(text.find("small-bad") < text.find("small-good"));
  CHECK(has(text, "**1.081**"));
  CHECK_FALSE(has(text, "**1.080**"));
}

TEST_CASE("A report compares layouts with each other, by their time over the same copies") {
  const auto with = [](double interleaved) {
    return report({record("8-8-64-split_half-bf16-in", 1000, "v", 1.00),
                   record("8-8-64-interleaved-bf16-in", 1000, "v", interleaved),
                   record("8-8-64-to_split-bf16-in", 1000, "v", 1.01),
                   record("8-8-64-split_half-bf16-out", 1000, "v", 2)});
  };
  CHECK(has(with(1.02), "| 8-8-64-*-bf16-in | 4,096 | hot | split_half | interleaved | 1.020 |\n"));
  CHECK(has(with(1.02), "| layouts | 1.02 | | 1 of 1 | |\n"));
  CHECK(has(with(1.03), "| 8-8-64-*-bf16-in | 4,096 | hot | split_half | interleaved | **1.030** |\n"));
  CHECK(has(with(1.03), "| layouts | 1.02 | | 0 of 1 | |\n"));
}

TEST_CASE("Exact angles may lose 3 percent to a table up to 5 MB, and nothing above") {
  const auto met = [](std::int64_t bytes, double exact) {
    return has(report({record("8-8-64-split_half-bf16-in", bytes, "v", exact),
                       record("8-8-64-split_half-bf16-in-table", bytes, "v", 1.00)}),
               "and the spread | | 1 of 1 | |\n");
  };
  CHECK(met(1'000'000, 1.03));
  CHECK_FALSE(met(1'000'000, 1.031));
  CHECK(met(6'000'000, 1.00));
  CHECK_FALSE(met(6'000'000, 1.01));
}

TEST_CASE("A report of nothing says so") { CHECK(report({}) == "no whole cell\n"); }

TEST_CASE("The driver's version is the first number with a dot") {
  CHECK(driver_version_in("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\n"
                          "GCC version:  gcc version 12.3.0\n") == "580.159.04");
  CHECK(driver_version_in("no number") == "");
}
