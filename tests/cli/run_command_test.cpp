// ropejit run, as a process, on the host target.
#include <llvm/Support/JSON.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit::test;

namespace {

std::string real_compiler() {
  const char* chosen = std::getenv("ROPEJIT_HOST_CXX");
  return chosen != nullptr ? chosen : "c++";
}

std::vector<std::string> entries_of(const Program& program) { return files_below(program.cache()); }

}  // namespace

TEST_CASE("run prints every field of its report, and the second process finds the binary on disk") {
  const Program program;
  const std::string model = program.file("spec.json", kSmallSpec);
  const Finished first = run_json(program, model);
  INFO(first.err);
  REQUIRE(first.status == 0);
  CHECK(first.err.empty());
  const llvm::json::Object cold = object(first);
  CHECK(text(cold, "device") == "host");
  CHECK(text(cold, "arch").rfind("host-", 0) == 0);
  CHECK(text(cold, "entry").find(text(cold, "variant")) != std::string::npos);
  CHECK(text(cold, "cache") == "miss");
  CHECK(number(cold, "compile_ms") > 0);
  CHECK(number(cold, "load_us") > 0);
  CHECK(number(cold, "launch_us") > 0);
  CHECK(number(cold, "gb_per_s") > 0);
  CHECK(number(cold, "copy_us") > 0);
  CHECK(number(cold, "over_copy") > 0);
  CHECK(number(cold, "max_abs_error") > 0);
  CHECK(number(cold, "max_abs_error") <= number(cold, "bound"));
  CHECK(number(cold, "bound") < 0.02);
  CHECK(cold.getBoolean("verified") == true);
  CHECK(number(cold, "elements") == 7 * (3 * 24 + 2 * 16));
  CHECK(number(cold, "tokens") == 7);
  CHECK(number(cold, "positions_first") == 0);
  CHECK(text(cold, "class_hash").size() == 32);
  CHECK(text(cold, "plan_hash").size() == 32);

  const Finished second = run_json(program, model);
  INFO(second.err);
  REQUIRE(second.status == 0);
  const llvm::json::Object warm = object(second);
  CHECK(text(warm, "cache") == "disk");
  CHECK(number(warm, "compile_ms") == 0);
  CHECK(warm.getBoolean("verified") == true);
  CHECK(text(warm, "plan_hash") == text(cold, "plan_hash"));
}

TEST_CASE("run verifies every form, direction, layout and dtype") {
  const std::vector<std::vector<std::string>> rows = {
      {"--out-of-place"},
      {"--strides", "free"},
      {"--out-of-place", "--strides=free", "--direction=adjoint"},
      {"--positions", "start", "--first", "-5"},
      {"--positions=ids32", "--first=2147483641"},
      {"--positions", "ids64", "--first", "1099511627000"},
      {"--layout", "interleaved", "--dtype", "fp16"},
      {"--dtype", "fp32", "--direction", "adjoint"},
      {"--rounding", "p1"},
      {"--rounding=p2", "--sine", "hardware"},
      {"--angle", "fp32", "--first", "1000000", "--rounding", "p3"},
      {"--angle", "fp32_inv_freq", "--dtype", "fp32", "--first", "1000000"},
  };
  const Program program;
  const std::string model = program.file("spec.json", kSmallSpec);
  for (const std::vector<std::string>& row : rows) {
    const Finished finished = run_json(program, model, row);
    INFO(row.front() << "\nstdout: " << finished.out << "\nstderr: " << finished.err);
    CHECK(finished.status == 0);
    CHECK(object(finished).getBoolean("verified") == true);
  }
}

TEST_CASE("run verifies a spec with axes, and outputs of another dtype") {
  const Program program;
  const std::string model = program.file(
      "spec.json",
      R"({"schema":1,"dtype":"bf16","q":{"heads":3,"head_dim":16,"dtype_out":"fp32"},"k":{"heads":1,"head_dim":16},)"
      R"("axes":{"sections":[4,2,2],"order":"interleaved","frequencies":"restarted"}})");
  for (const std::vector<std::string>& row : {std::vector<std::string>{"--positions=ids64"},
                                              {"--positions=ids32", "--strides=free"},
                                              {"--positions=start"}}) {
    std::vector<std::string> words = row;
    words.emplace_back("--out-of-place");
    const Finished finished = run_json(program, model, words);
    INFO(row.front() << "\nstdout: " << finished.out << "\nstderr: " << finished.err);
    CHECK(finished.status == 0);
    CHECK(object(finished).getBoolean("verified") == true);
  }
}

TEST_CASE("run without --json tells a person the same") {
  const Program program;
  const Finished finished =
      program({"run", "--model", program.file("spec.json", kSmallSpec), "--device", "host", "--tokens", "7"});
  INFO(finished.out);
  CHECK(finished.status == 0);
  for (const char* word : {"lower", "generate", "get", "launch", "verify", "miss", "\ncopy     ", ", the launch takes ",
                           " of it\n", "verified 728 elements"}) {
    INFO("wanted: " << word);
    CHECK(finished.out.find(word) != std::string::npos);
  }
}

TEST_CASE("run times a copy beside the launch, and says what the launch takes of it") {
  const Program program;
  for (const std::vector<std::string>& row : {std::vector<std::string>{}, {"--out-of-place", "--dtype", "fp32"}}) {
    const llvm::json::Object report = object(run_json(program, program.file("spec.json", kSmallSpec), row));
    const double launch_us = number(report, "launch_us");
    CHECK(number(report, "copy_us") > 0);
    CHECK(number(report, "over_copy") == Approx(launch_us / std::max(number(report, "copy_us"), 1e-3)));
    CHECK(number(*report.getObject("stages_us"), "time_copy") > 0);
  }
}

TEST_CASE("a kernel that is wrong is status 1, and what is wrong is said") {
  struct Row {
    const char* edit;  // of the generated source, on its way to the compiler
    std::vector<std::string> options;
    const char* problem;
  };
  const std::vector<Row> rows = {
      {"s/negate_sin = false/negate_sin = true/", {}, "q: "},
      {"s/(params, data);/;/", {"--out-of-place"}, "q: "},
      {"s/(params, data);/&static_cast<char*>(params.q_out)[-1] = 0;/", {}, "q: memory before the tensor"},
      {"s/(params, data);/&static_cast<char*>(params.k_out)[7*2*16*2] = 0;/", {}, "k: memory behind the tensor"},
      {"s/(params, data);/&static_cast<char*>(const_cast<void*>(params.k_in))[-1] = 0;/",
       {"--out-of-place"},
       "k: the input was written to"},
  };
  for (const Row& row : rows) {
    INFO(row.edit);
    Program program;
    const std::string model = program.file("spec.json", kSmallSpec);
    const std::string compiler = program.file(
        "c++", "#!/bin/sh\nfor word in \"$@\"; do case \"$word\" in *kernel.cpp) sed -i '" + std::string(row.edit) +
                   "' \"$word\";; esac; done\nexec " + real_compiler() + " \"$@\"\n");
    std::filesystem::permissions(compiler, std::filesystem::perms::owner_all);
    program.environment["ROPEJIT_HOST_CXX"] = compiler;
    const Finished finished = run_json(program, model, row.options);
    INFO("stdout: " << finished.out << "\nstderr: " << finished.err);
    CHECK(finished.status == 1);
    const llvm::json::Object report = object(finished);
    CHECK(report.getBoolean("verified") == false);
    CHECK(text(report, "problem").rfind(row.problem, 0) == 0);
  }
}

TEST_CASE("a damaged cache entry is a miss that still verifies, and is replaced") {
  struct Row {
    const char* name;
    void (*damage)(const std::string& path);
  };
  const Row row = GENERATE(values<Row>({
      {"a byte flipped in the middle",
       [](const std::string& path) {
         std::string bytes = read_text(path);
         bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
         write_text(path, bytes);
       }},
      {"cut in half",
       [](const std::string& path) { std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2); }},
      {"emptied", [](const std::string& path) { std::filesystem::resize_file(path, 0); }},
      {"text instead", [](const std::string& path) { write_text(path, "not an entry\n"); }},
  }));
  INFO(row.name);
  const Program program;
  const std::string model = program.file("spec.json", kSmallSpec);
  REQUIRE(run_json(program, model).status == 0);
  REQUIRE(!entries_of(program).empty());
  for (const std::string& path : entries_of(program)) row.damage(path);

  const Finished after = run_json(program, model);
  INFO(after.err);
  CHECK(after.status == 0);
  CHECK(text(object(after), "cache") == "miss");
  CHECK(object(after).getBoolean("verified") == true);
  CHECK(text(object(run_json(program, model)), "cache") == "disk");
}

TEST_CASE("without a place to write the cache the job is done all the same") {
  Program program;
  program.environment.erase("ROPEJIT_CACHE_DIR");
  const std::string home = GENERATE("/dev/null", "/proc", "");
  INFO("HOME=" << home);
  if (home.empty()) {
    program.environment.erase("HOME");
  } else {
    program.environment["HOME"] = home;
  }
  const std::string model = program.file("spec.json", kSmallSpec);
  for (int i = 0; i < 2; ++i) {
    const Finished finished = run_json(program, model);
    INFO(finished.err);
    CHECK(finished.status == 0);
    CHECK(text(object(finished), "cache") == "miss");
    CHECK(object(finished).getBoolean("verified") == true);
  }
  CHECK(files_below(program.folder.path()) == std::vector<std::string>{model});
}

TEST_CASE("a stdout that is closed or full is status 1 and one line, and harms no file") {
  const Program program;
  const std::string model = program.file("spec.json", kSmallSpec);
  const std::string out = GENERATE("", "/dev/full");
  INFO("stdout: " << (out.empty() ? "closed" : out));
  const Finished finished = program.run({"run", "--model", model, "--device", "host", "--tokens", "7"}, out);
  CHECK(finished.status == 1);
  CHECK(finished.err.find("standard output") != std::string::npos);
  CHECK(std::count(finished.err.begin(), finished.err.end(), '\n') == 1);
  CHECK(text(object(run_json(program, model)), "cache") == "disk");
}
