#include "bench/results.hpp"

#include "ropejit/error.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit;
using namespace ropejit::bench;
using namespace ropejit::test;

namespace {

Record record(const std::string& cell, std::int64_t tokens, const std::string& variant, std::int64_t records) {
  Record made;
  made.cell = cell;
  made.tokens = tokens;
  made.l2 = "hot";
  made.selection = "best";
  made.records = records;
  made.variant = variant;
  made.is_default = variant == "b";
  made.us = 1.25;
  made.lower_us = 1.2;
  made.upper_us = 1.5;
  made.spread_us = 0.03125;
  made.samples = 41;
  made.launches = 200;
  made.floor_us = 1;
  made.floor_spread_us = 0.5;
  made.floor = "linear_v16_w1_t256";
  made.ratio = 1.25;
  made.bytes = std::int64_t{1} << 40;
  made.registers = 32;
  made.spill_bytes = 0;
  made.environment = {"NVIDIA \"H100\"", "sm_90",      "580.1 (CUDA 13.0)",          "NVRTC 13.0",
                      "0.1.0",           "2026-01-02", "ropejit_bench --cell a\\b\n"};
  return made;
}

}  // namespace

TEST_CASE("A record survives being written and read") {
  const Record before = record("32-8-128", 64, "b", 2);
  const std::string line = to_json_line(before);
  CHECK(line.find('\n') == std::string::npos);
  const Record after = parse_record(line);
  CHECK(to_json_line(after) == line);
  CHECK(key_of(after) == key_of(before));
  CHECK(after.variant == "b");
  CHECK(after.is_default);
  CHECK(after.us == 1.25);
  CHECK(after.spread_us == 0.03125);
  CHECK(after.bytes == before.bytes);
  CHECK(after.registers == 32);
  CHECK(after.environment.gpu == before.environment.gpu);
  CHECK(after.environment.command == before.environment.command);
}

TEST_CASE("What is not a record is refused with its line") {
  const std::string line = to_json_line(record("a", 1, "b", 1));
  for (const std::string& bad : {std::string("{}"), std::string("[1]"), std::string("{\"cell\": 3}"),
                                 line.substr(0, line.size() / 2), line + "}"}) {
    CAPTURE(bad);
    try {
      parse_results(line + "\n" + bad + "\n", "file.jsonl");
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find("file.jsonl: line 2: ") == 0);
    }
  }
}

TEST_CASE("A last line that was cut off at any place is dropped, and the file goes on behind the whole ones") {
  const std::string whole = to_json_line(record("a", 1, "b", 1)) + "\n";
  const std::string last = to_json_line(record("a", 2, "b", 1));
  const ScratchFolder scratch;
  for (const std::size_t cut : {std::size_t{1}, last.size() / 2, last.size() - 1, last.size()}) {
    CAPTURE(cut);
    write_text(scratch / "results.jsonl", whole + last.substr(0, cut));
    const ResultFile file(scratch / "results.jsonl");
    CHECK(file.found().size() == 1);
    CHECK(read_text(scratch / "results.jsonl") == whole);
    file.append({record("a", 3, "b", 1)});
    const std::vector<Record> records = read_results(scratch / "results.jsonl");
    REQUIRE(records.size() == 2);
    CHECK(records[1].tokens == 3);
  }
}

TEST_CASE("A file is begun where there is none, and a name that cannot be written is refused at once") {
  const ScratchFolder scratch;
  const ResultFile file(scratch / "new.jsonl");
  CHECK(file.found().empty());
  file.append({record("a", 1, "b", 2), record("a", 1, "c", 2)});
  CHECK(read_results(scratch / "new.jsonl").size() == 2);
  CHECK(ResultFile(scratch / "new.jsonl").found().size() == 2);

  CHECK_THROWS_AS(ResultFile(scratch / "absent/file.jsonl"), Error);
  CHECK_THROWS_AS(read_results(scratch / "absent.jsonl"), Error);
  ResultFile("").append({record("a", 1, "b", 1)});  // nothing is kept
}

TEST_CASE("A cell is done when all of its lines are there") {
  const std::vector<Record> records = {record("a", 1, "b", 2), record("a", 1, "c", 2), record("a", 2, "b", 1),
                                       record("b", 1, "b", 3), record("b", 1, "c", 3)};
  const auto whole = whole_cells(records);
  REQUIRE(whole.size() == 2);
  CHECK(whole.count({"a", 1, "hot", "best"}) == 1);
  CHECK(whole.count({"a", 2, "hot", "best"}) == 1);
  CHECK(whole.at({"a", 1, "hot", "best"}).size() == 2);

  // The same line twice is not two of them.
  CHECK(whole_cells({record("a", 1, "b", 2), record("a", 1, "b", 2)}).empty());
  Record cold = record("a", 1, "b", 1);
  cold.l2 = "cold";
  CHECK(whole_cells({cold}).count({"a", 1, "hot", "best"}) == 0);
}

TEST_CASE("Of a cell that was measured twice the later lines count") {
  Record later = record("a", 1, "b", 1);
  later.us = 7;
  const auto whole = whole_cells({record("a", 1, "b", 1), later});
  REQUIRE(whole.size() == 1);
  REQUIRE(whole.begin()->second.size() == 1);
  CHECK(whole.begin()->second.front().us == 7);
}
