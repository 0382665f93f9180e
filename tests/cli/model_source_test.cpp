// What --model takes for a model: a file, a folder, standard input, a known name; and what it says of everything else.
#include <llvm/ADT/StringRef.h>
#include <llvm/Support/JSON.h>

#include <filesystem>
#include <string>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "cli/refused.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit::test;

namespace {

constexpr const char* kConfig =
    R"({"model_type": "llama", "num_attention_heads": 2, "hidden_size": 16, "num_hidden_layers": 1})";

std::string plan_of(const Finished& finished) { return text(object(finished), "plan_hash"); }

}  // namespace

TEST_CASE("a file, its folder, standard input and a known name give the same plan") {
  Program program;
  const std::string config = program.file("config.json", read_test_file("data/models/llama-3.1-8b.json"));
  const std::string expected = plan_of(program({"inspect", "--model", config, "--json"}));
  const std::string spec =
      program.file("spec.json", R"({"schema": 1, "rope_theta": 500000, "q": {"heads": 32, "head_dim": 128},
                       "k": {"heads": 8, "head_dim": 128}, "rope_scaling": {"rope_type": "llama3", "factor": 8,
                       "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}})");
  struct Row {
    const char* name;
    std::string model;
    std::string input;
    bool is_known;
  };
  const Row rows[] = {
      {"a spec", spec, "/dev/null", false},
      {"a folder", program.folder.path(), "/dev/null", false},
      {"a folder with a slash", program.folder.path() + "/", "/dev/null", false},
      {"a config from standard input", "-", config, false},
      {"a spec from standard input", "-", spec, false},
      {"a whole name", "meta-llama/Meta-Llama-3.1-8B", "/dev/null", true},
      {"a name in other letters", "META-llama/meta-llama-3.1-8b", "/dev/null", true},
      {"a name without its organisation", "Meta-Llama-3.1-8B", "/dev/null", true},
      {"the end of a name", "llama-3.1-8b", "/dev/null", true},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    program.input = row.input;
    const Finished finished = program({"inspect", "--model", row.model, "--json"});
    INFO(finished.err);
    CHECK(finished.status == 0);
    CHECK(plan_of(finished) == expected);
    CHECK((object(finished).getString("model") == llvm::StringRef("meta-llama/Meta-Llama-3.1-8B")) == row.is_known);
    CHECK(finished.err == (row.is_known ? "ropejit: --model: the known model meta-llama/Meta-Llama-3.1-8B\n" : ""));
  }
  CHECK(program({"inspect", "--model=llama-3.1-8b"}).status == 0);
}

TEST_CASE("what exists as a file or a folder goes before a known name") {
  Program program;
  program.path = std::filesystem::absolute(program.path);
  // A path that is the name: relative, as a person writes it.
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(program.folder.path());
  std::filesystem::create_directories("Qwen/Qwen3-8B");
  const Finished without = program({"inspect", "--model", "Qwen/Qwen3-8B"});
  program.file("Qwen/Qwen3-8B/config.json", kConfig);
  program.file("llama-3.1-8b", kTwoHeads);
  const Finished folder = program({"inspect", "--model", "Qwen/Qwen3-8B", "--json"});
  const Finished file = program({"inspect", "--model", "llama-3.1-8b", "--json"});
  const Finished other = program({"inspect", "--model", "qwen3-8b", "--json"});
  std::filesystem::current_path(before);
  check_refused(without, {"--model: Qwen/Qwen3-8B: found a folder without a config.json, allowed: a folder with one"});
  CHECK(number(object(folder), "q_heads") == 2);
  CHECK(folder.err.empty());
  CHECK(number(object(file), "rotary_dim") == 16);
  CHECK(file.err.empty());
  CHECK(number(object(other), "q_heads") == 32);
}

TEST_CASE("what is no model is refused in one line: what was found, what is allowed, what is near") {
  const Program program;
  const std::string empty = program.folder / "empty";
  std::filesystem::create_directory(empty);
  const std::string odd = program.folder / "odd";
  std::filesystem::create_directories(odd + "/config.json");
  const std::string lost = program.folder / "lost";
  std::filesystem::create_symlink("nowhere", lost);
  const Words allowed = {"a config.json or spec", "a folder with a config.json", "- (standard input)",
                         "a name of `ropejit warm --list`"};
  struct Row {
    std::string model;
    Words said;
  };
  const Row rows[] = {
      {"nowhere/config.json", with({"--model: found \"nowhere/config.json\": no such file"}, allowed)},
      {"qwen3-9b", with({"--model: found \"qwen3-9b\"", "did you mean Qwen/Qwen3-4B, Qwen/Qwen3-8B?"}, allowed)},
      {"unsloth/Llama-3.2-1B", with({"did you mean meta-llama/Llama-3.2-1B"}, allowed)},
      {"gemma-3-4b", with({"did you mean google/gemma-3-4b-it"}, allowed)},
      {"Qwen/Qwen2.5-7B-Instruct", with({"did you mean Qwen/Qwen2.5-7B?"}, allowed)},
      {"two\nlines", with({"two\\nlines"}, allowed)},
      {std::string(5000, 'q'), with({"qqqq"}, allowed)},
      {"7b-hf",
       {"--model: found \"7b-hf\", in which", "names end, allowed: one of", "meta-llama/Llama-2-7b-hf",
        "allenai/OLMo-7B-hf"}},
      {"vision", with({"--model: found \"vision\""}, allowed)},
      {empty, {"--model: " + empty + ": found a folder without a config.json, allowed: a folder with one, or a file"}},
      {odd, {"--model: " + odd + "/config.json: found a directory"}},
      {lost, {"--model: " + lost + ": No such file"}},
  };
  for (const Row& row : rows) {
    INFO(row.model.substr(0, 100));
    check_refused(program({"inspect", "--model", row.model}), row.said);
  }
  CHECK_FALSE(holds(program({"inspect", "--model", "nowhere/config.json"}).err, "did you mean"));
  CHECK_FALSE(holds(program({"inspect", "--model", "of-next-year"}).err, "did you mean"));
  check_refused(program({"inspect", "--model="}), {"--model: missing"});
}

TEST_CASE("standard input is read as a file is, and is called by that name") {
  Program program;
  struct Row {
    std::string input;
    Words said;
  };
  const Row rows[] = {
      {"/dev/null", {"standard input: ", "no text"}},
      {"/dev/zero", {"--model: standard input: found more than 16777216 bytes, allowed: at most that"}},
      {program.folder.path(), {"--model: standard input: Is a directory"}},
      {program.file("garbage", "\x7f\x45LF"), {"standard input: "}},
      {program.file("cut", R"({"model_type": "lla)"), {"standard input: "}},
      {program.file("unknown", R"({"model_type": "of-next-year"})"), {"standard input: model_type: ", "of-next-year"}},
      {program.file("bad", R"({"schema": 1, "q": {"heads": 0, "head_dim": 8}})"), {"standard input: q.heads: found 0"}},
  };
  for (const Row& row : rows) {
    INFO(row.input);
    program.input = row.input;
    check_refused(program({"inspect", "--model", "-"}), row.said);
  }
  program.input = program.file("warns", std::string(kConfig).replace(1, 0, R"("rope_base": 7, )"));
  const Finished warned = program({"inspect", "--model", "-"});
  CHECK(warned.status == 0);
  CHECK(warned.err.rfind("ropejit: warning: standard input: rope_base: found 7", 0) == 0);
  program.input = program.file("layers", kConfig);
  CHECK(program({"inspect", "--model", "-", "--layers"}).status == 0);
}
