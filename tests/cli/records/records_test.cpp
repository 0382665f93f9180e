// ropejit records: what is tuned, shown, merged, compared and pinned.
#include <llvm/Support/JSON.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "support/catch.hpp"
#include "tune/record_file.hpp"
#include "tune/sample_records.hpp"

using namespace ropejit::test;
using ropejit::internal::KernelClass;
using ropejit::internal::TuningRecord;

namespace {

std::string line(const TuningRecord& record) { return ropejit::internal::to_json_line(record) + "\n"; }

std::string line(std::int64_t tokens, const std::string& variant = "flat_v8_h4_t128", double us = 12.5,
                 const KernelClass& kernel_class = sample_class()) {
  return line(sample_record(tokens, variant, us, kernel_class));
}

TuningRecord pinned(TuningRecord record) {
  record.pinned = true;
  return record;
}

// The file of the program's cache directory, with these lines.
std::string own_file(const Program& program, const std::string& text) {
  const std::string path = ropejit::internal::records_path(program.cache());
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  write_text(path, text);
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return path;
}

const std::string kClass = sample_class().hash();

}  // namespace

TEST_CASE("ls shows the cache directory's records, or those of the files named") {
  const Program program;
  const Finished none = program({"records", "ls"});
  CHECK(none.status == 0);
  CHECK(none.err.empty());
  CHECK(holds(none.out, "0 records in " + program.cache()));

  own_file(program, line(4096) + line(pinned(sample_record(1, "lanes_v16_h4_t64", 0))));
  const Finished own = program({"records", "ls"});
  INFO(own.out << own.err);
  CHECK(own.status == 0);
  CHECK(std::count(own.out.begin(), own.out.end(), '\n') == 4);
  for (const std::string& words : {std::string("sm_90/132/2619/5120/52428800  ") + kClass.substr(0, 12) + "  ",
                                   std::string("bf16 split_half r128 q32x128 k8x128"), std::string("4,096"),
                                   std::string("flat_v8_h4_t128"), std::string("12.5"), std::string("1.064"),
                                   std::string("lanes_v16_h4_t64"), std::string("yes"), std::string("2 records")}) {
    INFO(words);
    CHECK(holds(own.out, words));
  }

  const std::string a = program.file("a.jsonl", line(128) + line(256));
  const std::string b = program.file("b.jsonl", line(256) + line(512) + "nonsense\n");
  const Finished both = program({"records", "ls", a, b, "--json"});
  CHECK(both.status == 0);
  CHECK(both.err.rfind("ropejit: " + b + ":3: ", 0) == 0);
  const llvm::json::Value value = parsed(both);
  REQUIRE(value.getAsArray() != nullptr);
  REQUIRE(value.getAsArray()->size() == 3);
  const llvm::json::Object& first = *value.getAsArray()->front().getAsObject();
  CHECK(first.getInteger("record") == 1);
  CHECK(first.getInteger("tokens") == 128);
  CHECK(first.getString("class")->str() == kClass);
}

TEST_CASE("merge gives the same file in any order, and says what disagreed and what was skipped") {
  const Program program;
  const std::string later = "{\"record\":2}";
  const std::string a = program.file("a.jsonl", line(128) + line(256, "flat_v8_h4_t128", 12) + later + "\n");
  const std::string b = program.file("b.jsonl", line(256, "flat_v16_h4_t128", 11) + "nonsense\n");
  const std::string c = program.file("c.jsonl", line(512) + line(128));
  const std::string out = program.folder / "out.jsonl";
  const Finished merged = program({"records", "merge", a, b, c, "--out", out});
  INFO(merged.out << merged.err);
  CHECK(merged.status == 0);
  CHECK(read_text(out) == line(128) + line(256, "flat_v16_h4_t128", 11) + line(512) + later + "\n");
  CHECK(holds(merged.out, "256 tokens: flat_v16_h4_t128, 11 us; not flat_v8_h4_t128, 12 us (" + a + ")"));
  CHECK(holds(merged.out, "3 records of 3 files in " + out + "; on 1 they disagreed"));
  CHECK(holds(merged.out, "1 line of a later version"));
  CHECK(holds(merged.err, b + ":2: "));

  const std::string again = program.folder / "again.jsonl";
  CHECK(program({"records", "merge", "--out", again, c, a, b, a}).status == 0);
  CHECK(read_text(again) == read_text(out));
  // Into one of those that are merged.
  CHECK(program({"records", "merge", a, b, c, "--out", a}).status == 0);
  CHECK(read_text(a) == read_text(out));
}

TEST_CASE("What is merged into the cache directory is trusted there, whatever the umask") {
  const Program program;
  const std::string path = own_file(program, line(128));
  const std::string a = program.file("a.jsonl", line(256));
  const mode_t before = ::umask(0);
  const Finished merged = program({"records", "merge", path, a, "--out", path});
  ::umask(before);
  CHECK(merged.status == 0);
  const Finished own = program({"records", "ls"});
  CHECK(own.err.empty());
  CHECK(holds(own.out, "2 records"));
}

TEST_CASE("diff tells records of one file alone from those with another variant, status 1 for the latter") {
  const Program program;
  const std::string a = program.file("a.jsonl", line(128) + line(256) + line(512));
  const std::string b = program.file("b.jsonl", line(128, "flat_v8_h4_t128", 99) + line(256, "lanes_v8_h4_t128", 11));
  const std::string c = program.file("c.jsonl", line(128) + line(1024));
  const Finished text = program({"records", "diff", a, b});
  CHECK(text.status == 1);
  CHECK(text.err.empty());
  CHECK(holds(text.out, "only in A: sm_90/132/2619/5120/52428800 " + kClass.substr(0, 12) + " 512 tokens"));
  CHECK(holds(text.out, "256 tokens: A flat_v8_h4_t128, 12.5 us; B lanes_v8_h4_t128, 11 us\n"));
  CHECK(holds(text.out, "1 record with one variant, 1 with two, 1 in A alone, 0 in B alone"));

  const Finished json = program({"records", "diff", a, b, "--json"});
  CHECK(json.status == 1);
  const llvm::json::Value value = parsed(json);
  const llvm::json::Object& report = *value.getAsObject();
  CHECK(report.getArray("only_a")->size() == 1);
  CHECK(report.getArray("only_b")->empty());
  REQUIRE(report.getArray("other_variants")->size() == 1);
  CHECK(report.getInteger("same_variant") == 1);
  const llvm::json::Object& pair = *report.getArray("other_variants")->front().getAsObject();
  CHECK(pair.getObject("b")->getString("variant")->str() == "lanes_v8_h4_t128");

  CHECK(program({"records", "diff", a, c}).status == 0);
  CHECK(holds(program({"records", "diff", a, c}).out, "only in B: "));
  CHECK(program({"records", "diff", a, a}).status == 0);
}

TEST_CASE("pin makes a person's choice of a record, and takes it back") {
  const Program program;
  const std::string path = own_file(program, line(4096) + line(128) + "{\"record\":2}\n");
  const auto pin = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"records", "pin", "--class", kClass.substr(0, 6)});
    const Finished finished = program(more);
    INFO(finished.err);
    CHECK(finished.status == 0);
    return finished.out;
  };
  // The variant that was the fastest keeps its times.
  CHECK(holds(pin({"--tokens", "4096", "--variant", "flat_v8_h4_t128"}), "flat_v8_h4_t128, 12.5 us, pinned"));
  CHECK(read_text(path) == line(128) + line(pinned(sample_record(4096))) + "{\"record\":2}\n");
  CHECK(holds(pin({"--tokens", "4096", "--unpin"}), "no longer pinned"));
  CHECK(read_text(path) == line(128) + line(4096) + "{\"record\":2}\n");

  // Another one has none, and neither has a number of tokens that nobody timed.
  CHECK(holds(pin({"--tokens", "4096", "--variant", "lanes_v8_h4_t128"}), "lanes_v8_h4_t128, not timed, pinned"));
  CHECK(holds(pin({"--tokens", "7", "--variant", "flat_v8_h4_t128"}), "7 tokens: flat_v8_h4_t128, not timed, pinned"));
  CHECK(parsed(program({"records", "ls", "--json"})).getAsArray()->size() == 3);
  CHECK(holds(pin({"--tokens", "7", "--unpin"}), "removed"));
  CHECK(parsed(program({"records", "ls", "--json"})).getAsArray()->size() == 2);
}

TEST_CASE("pin changes every device of a file that has the class, and no other class") {
  const Program program;
  TuningRecord slice = sample_record(4096);
  slice.device.multiprocessors = 66;
  const std::string other = line(4096, "flat_v8_h4_t128", 12.5, sample_class(16));
  const std::string file = program.file("some.jsonl", line(4096) + line(slice) + other);
  const Finished finished = program(
      {"records", "pin", "--class", kClass, "--tokens", "4096", "--variant", "flat_v8_h4_t128", "--file", file});
  INFO(finished.err);
  CHECK(finished.status == 0);
  CHECK(std::count(finished.out.begin(), finished.out.end(), '\n') == 2);
  const std::string text = read_text(file);
  CHECK(holds(text, line(pinned(slice))));
  CHECK(holds(text, line(pinned(sample_record(4096)))));
  CHECK(holds(text, other));
  CHECK_FALSE(std::filesystem::exists(program.cache()));
}

TEST_CASE("What is wrong with records' words is one line, status 2, and changes nothing") {
  const Program program;
  // Two classes that begin alike.
  TuningRecord twin = sample_record(4096);
  twin.kernel_class = kClass.substr(0, 8) + std::string(24, kClass[8] == '0' ? '1' : '0');
  const std::string content = line(4096) + line(twin);
  const std::string file = program.file("some.jsonl", content);
  const std::vector<std::string> pin = {"records", "pin", "--file", file};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), pin.begin(), pin.end());
    return more;
  };
  struct Row {
    std::vector<std::string> words;
    std::string named;
  };
  const Row rows[] = {
      {{"records"}, "records: found nothing, allowed: ls, merge, diff, pin"},
      {{"records", "prune"}, "found \"prune\""},
      {{"records", "ls", "nowhere.jsonl"}, "FILE: nowhere.jsonl"},
      {{"records", "ls", "--out", "x"}, "ls: found --out"},
      {{"records", "merge", file}, "--out: missing"},
      {{"records", "merge", "--out", "x"}, "merge: found no files"},
      {{"records", "merge", file, "--out", "x", "--json"}, "merge: found --json"},
      {{"records", "diff", file}, "diff: found 1 files"},
      {{"records", "diff", file, "nowhere.jsonl"}, "B: nowhere.jsonl"},
      {{"records", "pin", "--class", "0000", "--tokens", "1", "--unpin"}, "nothing was tuned yet"},
      {with({"word"}), "found the word \"word\""},
      {with({"--tokens", "4096", "--variant", "flat_v8_h4_t128"}), "--class: missing"},
      {with({"--class", kClass, "--variant", "flat_v8_h4_t128"}), "--tokens: missing"},
      {with({"--class", kClass, "--tokens", "0", "--variant", "flat_v8_h4_t128"}), "--tokens: found \"0\""},
      {with({"--class", kClass, "--tokens", "4096"}), "--variant: missing"},
      {with({"--class", kClass, "--tokens", "4096", "--variant", "fastest"}), "--variant: found \"fastest\""},
      {with({"--class", kClass, "--tokens", "4096", "--variant", "flat_v8_h4_t128", "--unpin"}), "--unpin"},
      {with({"--class", "abc", "--tokens", "4096", "--unpin"}), "--class: found \"abc\""},
      {with({"--class", "ABCD", "--tokens", "4096", "--unpin"}), "--class: found \"ABCD\""},
      {with({"--class", "123456789abcdef", "--tokens", "4096", "--unpin"}), "one of the 2 classes"},
      {with({"--class", kClass.substr(0, 8), "--tokens", "4096", "--unpin"}), "tell them apart"},
      {with({"--class", kClass.substr(0, 9), "--tokens", "4096", "--unpin"}), "is pinned"},
  };
  for (const Row& row : rows) {
    const Finished finished = program(row.words);
    INFO(row.named << "\nstderr: " << finished.err);
    CHECK(finished.status == 2);
    CHECK(finished.out.empty());
    CHECK(finished.err.rfind("ropejit: ", 0) == 0);
    CHECK(std::count(finished.err.begin(), finished.err.end(), '\n') == 1);
    CHECK(holds(finished.err, row.named));
    CHECK(read_text(file) == content);
    CHECK_FALSE(std::filesystem::exists(program.cache()));
  }
}
