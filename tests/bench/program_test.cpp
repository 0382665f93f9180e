// ropejit_bench as a program, on the host target with as little work as shows that all of it runs.
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/results.hpp"
#include "cli/program.hpp"
#include "support/catch.hpp"

using namespace ropejit::bench;
using namespace ropejit::test;

namespace {

std::string bench_path() {
  if (const char* moved = std::getenv("ROPEJIT_BENCH")) return moved;
  return ROPEJIT_BENCH_PATH;
}

const std::vector<std::string> kOneCase = {
    "--device", "host", "--set", "quick", "--cell", "32-8-128-split_half-bf16-in-table", "--variants", "default"};

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("A sweep writes its cells, a second one goes on, and a report reads them") {
  Program program;
  program.path = bench_path();
  const std::string file = program.folder / "cells.jsonl";

  const Finished first = program(with(kOneCase, {"--tokens", "1", "--resume", file}));
  CAPTURE(first.err);
  REQUIRE(first.status == 0);
  CHECK(has(first.out, "1 cells measured, 0 done before, 0 left\n"));

  const Finished second = program(with(kOneCase, {"--tokens", "1,2", "--resume", file}));
  CHECK(second.status == 0);
  CHECK(has(second.out, "1 cells measured, 1 done before, 0 left\n"));
  CHECK(has(program(with(kOneCase, {"--tokens", "1,2,3", "--resume", file, "--budget-s", "0"})).out,
            "0 cells measured, 2 done before, 1 left\n"));

  const std::vector<Record> records = read_results(file);
  REQUIRE(records.size() == 2);
  for (const Record& record : records) {
    CHECK(record.cell == "32-8-128-split_half-bf16-in-table");
    CHECK(record.is_default);
    CHECK(record.us > 0);
    CHECK(record.floor_us > 0);
    CHECK(record.ratio == Approx(record.us / record.floor_us).epsilon(0.001));
    CHECK(record.bytes == record.tokens * 40 * 128 * 2 * 2);
    CHECK(record.environment.gpu == "host");
  }
  const Finished report = program({"report", file});
  CHECK(report.status == 0);
  CHECK(has(report.out, "### Targets"));
}

TEST_CASE("Cells can be listed, and one variant launched alone") {
  Program program;
  program.path = bench_path();
  const Finished list = program({"--set", "gate", "--shard", "1/3", "--dry-run"});
  CHECK(list.status == 0);
  CHECK(has(list.out, "32-8-128-split_half-bf16-in"));

  const std::vector<std::string> one = {"--device", "host", "--set",     "quick",           "--cell",     "71-1-64",
                                        "--tokens", "2",    "--variant", "flat_v4_h1_t128", "--launches", "3"};
  const Finished alone = program(one);
  CAPTURE(alone.err);
  CHECK(alone.status == 0);
  CHECK(has(alone.out, "flat_v4_h1_t128 launched 3 times"));
}

TEST_CASE("Partial rotation in place is measured beside copies of its rows, hot and cold") {
  Program program;
  program.path = bench_path();
  for (const char* state : {"hot", "cold"}) {
    const Finished ran = program({"--device", "host", "--set", "quick", "--cell", "64-64-96r24", "--tokens", "1",
                                  "--variants", "default", "--l2", state});
    CAPTURE(state, ran.err);
    CHECK(ran.status == 0);
    CHECK(has(ran.out, "1 cells measured"));
  }
}

TEST_CASE("The host's time and the first launch are measured") {
  Program program;
  program.path = bench_path();
  const Finished host = program({"host", "--device", "host"});
  CHECK(host.status == 0);
  CHECK(has(host.out, "| in place, packed QKV |"));
  const Finished first = program({"first", "--device", "host", "--repeats", "1"});
  CAPTURE(first.err);
  CHECK(first.status == 0);
  CHECK(has(first.out, "| first launch, binaries on disk |"));
}

TEST_CASE("Bad words are refused in one line") {
  Program program;
  program.path = bench_path();
  const std::vector<std::string> rows[] = {
      {"--set", "huge"},
      {"--shard", "3/2"},
      {"--tokens", "0"},
      {"--l2", "warm"},
      {"--variants", "quick"},
      {"--launches", "1"},
      {"--budget-s", "-1"},
      {"report"},
      {"word"},
      {"host", "--set", "gate"},
      {"--cell", "no-such"},
      {"--resume", "/no/folder/file"},
  };
  for (const std::vector<std::string>& row : rows) {
    const Finished ran = program(row);
    CAPTURE(row, ran.err);
    CHECK((ran.status == 2 || ran.status == 1));
    CHECK(ran.err.find("ropejit_bench: ") == 0);
    CHECK(ran.err.find('\n') == ran.err.size() - 1);
    CHECK(ran.out.empty());
  }
}
