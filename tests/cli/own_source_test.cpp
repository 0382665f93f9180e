// `ropejit run --source`: a person's own kernel, judged and timed beside the generated one. On the host target.
#include <algorithm>
#include <string>
#include <vector>

#include <llvm/ADT/STLExtras.h>
#include <llvm/Support/JSON.h>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "cli/refused.hpp"
#include "support/catch.hpp"

using namespace ropejit::test;

namespace {

const std::string kSpec = R"({"schema":1,"dtype":"bf16","rotary_dim":16,"q":{"heads":3,"head_dim":24,"first_lane":8},)"
                          R"("k":{"heads":2,"head_dim":16}})";

std::vector<std::string> joined(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  REQUIRE(text.find(from) != std::string::npos);
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// The program with a model, and the source that `ropejit source` prints for it.
struct Workbench {
  explicit Workbench(const std::vector<std::string>& case_options = {}) : options(case_options) {
    const Finished printed = program(joined({"source", "--model", model, "--tokens", "7"}, options));
    REQUIRE(printed.status == 0);
    source = printed.out;
    const Finished described = program(joined({"source", "--model", model, "--tokens", "7", "--json"}, options));
    entry = object(described).getString("entry")->str();
  }

  Finished run(const std::string& text, const std::vector<std::string>& more = {}) const {
    const std::vector<std::string> words = {"run", "--model", model, "--device", "host", "--tokens", "7"};
    return program(joined(joined(words, options), joined({"--source", program.file("mine.cu", text)}, more)));
  }

  Program program;
  std::string model = program.file("spec.json", kSpec);
  std::vector<std::string> options;
  std::string source;
  std::string entry;
};

}  // namespace

TEST_CASE("a printed source runs as it is, in every form, beside the generated kernel and a copy") {
  const std::vector<std::vector<std::string>> rows = {
      {},
      {"--variant", "flat_v8_h2_t64"},
      {"--variant", "flat_v8_h2_t64_buffer"},
      {"--variant", "universal_v2_h3_t128", "--strides", "free"},
      {"--variant", "shared_v4_h2_t64", "--out-of-place", "--positions", "start"},
      {"--variant", "flat_v4_h1_t32", "--direction", "adjoint", "--layout", "interleaved"},
  };
  for (const std::vector<std::string>& row : rows) {
    INFO((row.size() > 1 ? row[1] : "the default"));
    const Workbench bench(row);
    const Finished finished = bench.run(bench.source, {"--json"});
    INFO(finished.err);
    CHECK(finished.status == 0);
    const llvm::json::Object report = object(finished);
    CHECK(report.getBoolean("verified") == true);
    CHECK(report.getString("entry")->str() == bench.entry);
    CHECK(report.getInteger("elements") == 7 * (3 * 24 + 2 * 16));
    // In place lanes that do not rotate are not touched; out of place they are copied.
    const bool apart = llvm::is_contained(row, "--out-of-place");
    CHECK(report.getObject("copy")->getInteger("bytes") == 7 * (3 * (apart ? 24 : 16) + 2 * 16) * 2);
    for (const char* key : {"mine", "generated", "copy"}) {
      INFO(key);
      REQUIRE(report.getObject(key) != nullptr);
      CHECK(*report.getObject(key)->getNumber("us") > 0);
    }
  }
}

TEST_CASE("nothing of a person's own source is stored") {
  const Workbench bench;
  CHECK(bench.run(bench.source).status == 0);
  CHECK(files_below(bench.program.cache()).empty());
}

TEST_CASE("an edit of one's own is what runs, and is judged as the generated kernel is") {
  struct Row {
    const char* from;
    const char* to;
    std::vector<std::string> options;
    const char* problem;  // "": it passes
  };
  const std::vector<Row> rows = {
      {"#include \"blocks.cuh\"", "// my own\n#include \"blocks.cuh\"", {}, ""},
      {"extern \"C\" __global__", "__device__ float mine(float x) { return x; }\nextern \"C\" __global__", {}, ""},
      {"negate_sin = false", "negate_sin = true", {}, "q: "},
      {"  ropejit::run_blocks", "  if (params.tokens == 0) ropejit::run_blocks", {"--out-of-place"}, "q: "},
      {"  ropejit::run_blocks",
       "  static_cast<char*>(params.q_out)[-1] = 0;\n  ropejit::run_blocks",
       {},
       "q: memory before the tensor"},
  };
  for (const Row& row : rows) {
    INFO(row.to);
    const Workbench bench(row.options);
    const Finished finished = bench.run(replaced(bench.source, row.from, row.to), {"--json"});
    const llvm::json::Object report = object(finished);
    const bool passes = *row.problem == '\0';
    CHECK(finished.status == (passes ? 0 : 1));
    CHECK(report.getBoolean("verified") == passes);
    if (!passes) CHECK(report.getString("problem")->str().rfind(row.problem, 0) == 0);
  }
}

TEST_CASE("a kernel may have another name, which --entry tells") {
  const Workbench bench;
  const std::string text = replaced(bench.source, bench.entry, "my_kernel");
  const Finished finished = bench.run(text, {"--entry", "my_kernel", "--json"});
  CHECK(finished.status == 0);
  CHECK(object(finished).getString("entry")->str() == "my_kernel");
  check_refused(bench.run(text), {"--source", "mine.cu", bench.entry, "--entry"});
  check_refused(bench.run(text, {"--entry", "my_kern"}), {"--source", "found no my_kern"});
  check_refused(bench.run(text, {"--entry", "my kernel"}), {"--entry", "my kernel"});
  check_refused(bench.run(text, {"--entry", "2nd"}), {"--entry", "2nd"});
}

TEST_CASE("a person reads mine, generated, copy and what was verified") {
  const Workbench bench;
  const Finished finished = bench.run(bench.source);
  INFO(finished.out);
  CHECK(finished.status == 0);
  for (const char* word : {"\nmine ", "\ngenerated ", "\ncopy ", "over copy", "verified 728 elements", "mine.cu"}) {
    INFO("wanted: " << word);
    CHECK(finished.out.find(word) != std::string::npos);
  }
  const Finished wrong = bench.run(replaced(bench.source, "negate_sin = false", "negate_sin = true"));
  CHECK(wrong.status == 1);
  CHECK(wrong.out.find("WRONG    q: ") != std::string::npos);
}

TEST_CASE("what the compiler refuses is status 1, with the compiler's own words") {
  const Workbench bench;
  const Finished finished = bench.run(replaced(bench.source, "#include \"blocks.cuh\"", "#include \"absent.cuh\""));
  CHECK(finished.status == 1);
  CHECK(finished.out.empty());
  CHECK(finished.err.find(bench.entry) != std::string::npos);
  CHECK(finished.err.find("absent.cuh") != std::string::npos);
}

TEST_CASE("a source that cannot be used is refused in one line") {
  const Workbench bench;
  const auto run = [&](const std::vector<std::string>& more) {
    return bench.program(joined({"run", "--model", bench.model, "--device", "host", "--tokens", "7"}, more));
  };
  check_refused(run({"--source", "nowhere/mine.cu"}), {"--source", "nowhere/mine.cu", "No such file"});
  check_refused(run({"--source", bench.program.folder.path()}), {"--source", "directory"});
  check_refused(run({"--source", "/dev/zero"}), {"--source", "/dev/zero", "more than"});
  check_refused(bench.run(""), {"--source", "mine.cu", bench.entry});
  check_refused(bench.run(bench.source + std::string(1, '\0')), {"--source", "NUL"});
  // A longer name is another name.
  check_refused(bench.run(replaced(bench.source, bench.entry, bench.entry + "_2")), {"--source", bench.entry});
  check_refused(bench.run(bench.source, {"--variant", "flat_v3"}), {"--variant", "flat_v3"});
  check_refused(bench.run(bench.source, {"--variant", "flat_v16_h1_t33"}), {"--variant", "threads 33"});
  check_refused(run({"--variant", "flat_v4_h1_t64"}), {"--variant", "--source"});
  check_refused(run({"--entry", "mine"}), {"--entry", "--source"});
  CHECK(files_below(bench.program.cache()).empty());
}
