// ropejit tune, on the host target: its kernels are compiled by the system's compiler, so a few sizes and a budget.
#include <filesystem>
#include <string>
#include <vector>

#include "cli/program.hpp"
#include "support/catch.hpp"
#include "tune/record_file.hpp"

using namespace ropejit::test;

namespace {

std::vector<std::string> tune(const Program& program, const std::vector<std::string>& more) {
  std::vector<std::string> words = {"tune", "--model", program.file("spec.json", kTwoHeads), "--device", "host"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("tune finds a variant for each size, keeps a record of it, and run follows it", "[host]") {
  const Program program;
  const Finished tuned = program(tune(program, {"--tokens", "1,64", "--budget-ms", "1500"}));
  INFO(tuned.out << tuned.err);
  REQUIRE(tuned.status == 0);
  CHECK(holds(tuned.out, "binaries compiled in"));
  const auto read = ropejit::internal::read_records(ropejit::internal::system_file_ops(),
                                                    ropejit::internal::records_path(program.cache()));
  REQUIRE(read.records.all().size() == 2);
  CHECK(read.records.all()[0].tokens == 1);
  CHECK(read.records.all()[1].tokens == 64);
  for (const auto& record : read.records.all()) CHECK(holds(tuned.out, record.variant));

  const Finished ran =
      program({"run", "--model", program.file("spec.json", kTwoHeads), "--device", "host", "--tokens", "64"});
  INFO(ran.out << ran.err);
  CHECK(ran.status == 0);
  CHECK(holds(ran.out, "exact record at 64 tokens"));

  const Finished again = program(tune(program, {"--tokens", "1,64", "--keep"}));
  CHECK(again.status == 0);
  CHECK(again.out == "every size has a record\n");
}

TEST_CASE("tune --csv has a line for every variant that was timed, and --records says where records go", "[host]") {
  const Program program;
  const std::string file = program.folder / "mine.jsonl";
  const Finished tuned = program(tune(program, {"--tokens", "8", "--budget-ms", "1000", "--csv", "--records", file}));
  INFO(tuned.out << tuned.err);
  CHECK(tuned.status == 0);
  CHECK(tuned.out.rfind("tokens,l2,variant,us,spread_us,samples,copy_us,winner\n8,hot,", 0) == 0);
  CHECK(holds(tuned.out, ",1\n"));
  CHECK(std::filesystem::exists(file));
  CHECK_FALSE(std::filesystem::exists(ropejit::internal::records_path(program.cache())));
}

TEST_CASE("What tune cannot do is said in one line", "[host]") {
  const Program program;
  struct Row {
    std::vector<std::string> words;
    int status;
    const char* told;
  };
  const Row rows[] = {
      {{"--budget-ms", "0"}, 2, "--budget-ms: found \"0\", allowed: a whole number from 1"},
      {{"--tokens", "1,zero"}, 2, "--tokens: found \"1,zero\", allowed: whole numbers from 1 to 2147483647"},
      {{"--tokens", "1000000000", "--budget-ms", "500"}, 1, ""},
  };
  for (const Row& row : rows) {
    const Finished finished = program(tune(program, row.words));
    INFO(finished.out << finished.err);
    CHECK(finished.status == row.status);
    CHECK(holds(finished.err, row.told));
  }
}

TEST_CASE("Where records cannot be written tune says so, and what it found", "[host]") {
  const Program program;
  const std::string blocked = program.file("not_a_folder", "");
  const Finished tuned =
      program(tune(program, {"--tokens", "8", "--budget-ms", "1000", "--records", blocked + "/records.jsonl"}));
  INFO(tuned.out << tuned.err);
  CHECK(holds(tuned.out, "binaries compiled in"));
  CHECK(holds(tuned.err, "not_a_folder"));
  CHECK(tuned.status == 1);
}
