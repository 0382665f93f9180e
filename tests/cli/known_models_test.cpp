// Known models, by name: every name, in every command; their rotations, and the options that are for other models.
#include <llvm/ADT/StringRef.h>
#include <llvm/Support/JSON.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "cli/refused.hpp"
#include "deploy/warm_model.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit::test;
using ropejit::internal::shipped_models;
using ropejit::internal::WarmModel;

namespace {

constexpr const char* kConfig =
    R"({"model_type": "llama", "num_attention_heads": 2, "hidden_size": 16, "num_hidden_layers": 1})";

}  // namespace

TEST_CASE("every known model is found by its name, in small letters, and without its organisation") {
  const Program program;
  for (const WarmModel& model : shipped_models()) {
    const llvm::StringRef name = model.name;
    const llvm::StringRef plain = name.substr(name.find('/') + 1);
    for (const std::string& word : {model.name, name.lower(), plain.str(), plain.lower()}) {
      INFO(word);
      // The length is for those whose scaling depends on one.
      const Finished finished =
          program({"source", "--model", word, "--rotation", "0", "--max-length", "4096", "--json"});
      INFO(finished.err);
      REQUIRE(finished.status == 0);
      CHECK(text(object(finished), "model") == model.name);
    }
  }
}

TEST_CASE("a known model is in bf16, unless --dtype says otherwise") {
  const Program program;
  CHECK(text(object(program({"inspect", "--model", "qwen3-8b", "--json"})), "dtype") == "bf16");
  CHECK(text(object(program({"inspect", "--model", "qwen3-8b", "--dtype", "fp16", "--json"})), "dtype") == "fp16");
}

TEST_CASE("every command takes a known name, says which model it took, and tells it in its JSON") {
  const Program program;
  struct Row {
    Words words;
    int status;
    bool tells;  // in its JSON
  };
  const Row rows[] = {
      {{"inspect", "--json"}, 0, true},
      {{"source", "--json"}, 0, true},
      {{"source"}, 0, false},
      {{"variants", "--json"}, 0, true},
      {{"variants", "--why-not", "flat_v8_h4_t128", "--json"}, 0, true},
      {{"compile", "--arch", "host", "--out", program.folder / "out", "--json"}, 0, false},
      {{"run", "--device", "host", "--tokens", "1", "--on-miss", "generic", "--json"}, 0, true},
      {{"explain", "--device", "host", "--json"}, 1, true},
  };
  for (const Row& row : rows) {
    const Finished finished = program(with(row.words, {"--model", "qwen3-8b"}));
    INFO(row.words[0] << "\n" << finished.out << finished.err);
    CHECK(finished.status == row.status);
    CHECK(finished.err.rfind("ropejit: --model: the known model Qwen/Qwen3-8B\n", 0) == 0);
    if (row.tells) CHECK(text(object(finished), "model") == "Qwen/Qwen3-8B");
  }
  // Nothing is timed: the device is refused.
  const Finished tune = program({"tune", "--model", "qwen3-8b", "--device", "toaster"});
  CHECK(tune.status == 2);
  CHECK(tune.err.rfind("ropejit: --model: the known model Qwen/Qwen3-8B\n", 0) == 0);
}

TEST_CASE("a known model of several rotations lists them, and --rotation chooses one") {
  const Program program;
  struct Row {
    const char* word;
    const char* name;
    std::vector<std::string> listed;
  };
  const Row rows[] = {
      {"gemma-3-4b-it",
       "google/gemma-3-4b-it",
       {"0 (split_half q 8x256 k 4x256 rotary 256 theta 1000000 linear)",
        "1 (split_half q 8x256 k 4x256 rotary 256 theta 10000)"}},
      {"deepseek-v3",
       "deepseek-ai/DeepSeek-V3",
       {"0 (interleaved q 128x192+128 k 1x576+512 rotary 64 theta 10000 yarn)",
        "1 (interleaved q 128x64 k 1x64 rotary 64 theta 10000 yarn)"}},
      {"deepseek-v3.2-exp",
       "deepseek-ai/DeepSeek-V3.2-Exp",
       {"0 (interleaved q 128x192+128 k 1x576+512", "1 (interleaved q 128x64 k 1x64",
        "2 (split_half q 64x128 k 1x128 rotary 64"}},
  };
  for (const Row& row : rows) {
    INFO(row.word);
    const std::string count = std::to_string(row.listed.size());
    const Words inspect = {"inspect", "--model", row.word, "--json"};
    check_refused(program(inspect),
                  with({"--rotation: missing; " + std::string(row.name) + " has " + count + " rotations"}, row.listed));
    check_refused(program(with(inspect, {"--rotation", count})),
                  with({"--rotation: found " + count + ", of the " + count + " rotations of " + row.name}, row.listed));
    std::vector<std::string> plans;
    for (std::size_t i = 0; i < row.listed.size(); ++i) {
      const Finished finished = program(with(inspect, {"--rotation", std::to_string(i)}));
      CHECK(finished.status == 0);
      CHECK(finished.err ==
            "ropejit: --model: the known model " + std::string(row.name) + ", rotation " + std::to_string(i) + "\n");
      const llvm::json::Object report = object(finished);
      CHECK(text(report, "model") == row.name);
      CHECK(number(report, "rotation") == static_cast<double>(i));
      CHECK(std::count(plans.begin(), plans.end(), text(report, "plan_hash")) == 0);
      plans.push_back(text(report, "plan_hash"));
    }
  }
}

TEST_CASE("a list of rotations tells every two of them apart") {
  const Program program;
  for (const WarmModel& model : shipped_models()) {
    if (model.ropes.size() == 1) continue;
    const std::string said = program({"inspect", "--model", model.name}).err;
    INFO(said);
    std::vector<std::string> texts;
    for (std::size_t at = said.find(" ("); at != std::string::npos; at = said.find(" (", at + 1)) {
      texts.push_back(said.substr(at, said.find(')', at) - at));
    }
    CHECK(texts.size() == model.ropes.size());
    std::sort(texts.begin(), texts.end());
    CHECK(std::adjacent_find(texts.begin(), texts.end()) == texts.end());
  }
}

TEST_CASE("options that choose in one kind of model are refused with another") {
  const Program program;
  const std::string config = program.file("config.json", kConfig);
  const std::string spec = program.file("spec.json", kTwoHeads);
  struct Row {
    Words words;
    Words said;
  };
  const Row rows[] = {
      {{"--model", "qwen3-8b", "--layer", "0"},
       {"--layer: found with the known model Qwen/Qwen3-8B, allowed: with a model's config.json", "--rotation"}},
      {{"--model", "qwen3-8b", "--role", "indexer"}, {"--role: found with the known model Qwen/Qwen3-8B"}},
      {{"--model", "qwen3-8b", "--role", "main"}, {"--role: found with the known model Qwen/Qwen3-8B"}},
      {{"--model", "qwen3-8b", "--as", "llama"},
       {"--as: found with the known model Qwen/Qwen3-8B, allowed: with a model's config.json"}},
      {{"--model", "qwen3-8b", "--layers"},
       {"--layers: found the known model Qwen/Qwen3-8B, allowed: a model's config.json", "--rotation"}},
      {{"--model", spec, "--layers"}, {"--layers: found a spec, allowed: a model's config.json"}},
      {{"--model", "qwen3-8b", "--rotation", "1"},
       {"--rotation: found 1, of Qwen/Qwen3-8B, which has one rotation, allowed: 0"}},
      {{"--model", "qwen3-8b", "--rotation", "-1"}, {"--rotation: found \"-1\", allowed: a whole number"}},
      {{"--model", config, "--rotation", "0"},
       {"--rotation: found with a config.json, allowed: with a name of `ropejit warm --list`", "--layer"}},
      {{"--model", config, "--layers", "--rotation", "0"}, {"--rotation: found with a config.json"}},
      {{"--model", spec, "--rotation", "0"}, {"--rotation: found with a spec, allowed: with a name"}},
  };
  for (const Row& row : rows) {
    INFO(row.words.back());
    check_refused(program(with({"inspect"}, row.words)), row.said);
  }
  CHECK(program({"inspect", "--model", "qwen3-8b", "--rotation", "0"}).status == 0);
}

TEST_CASE("diff takes all of them, standard input once, and each option for what it is of") {
  Program program;
  const std::string llama = program.file("config.json", read_test_file("data/models/llama-3.1-8b.json"));
  program.input = llama;
  const Finished same = program({"diff", "llama-3.1-8b", llama, "--json"});
  CHECK(same.status == 0);
  CHECK(same.err == "ropejit: A: the known model meta-llama/Meta-Llama-3.1-8B\n");
  CHECK(text(object(same), "model_a") == "meta-llama/Meta-Llama-3.1-8B");
  CHECK(object(same).get("model_b") == nullptr);
  CHECK(program({"diff", "-", "llama-3.1-8b"}).status == 0);
  CHECK(program({"diff", program.folder.path(), "-"}).status == 0);
  check_refused(program({"diff", "-", "-"}), {"B: found -", "standard input once"});

  const Finished two = program({"diff", "gemma-3-4b-it", "qwen3-8b", "--rotation", "1", "--json"});
  CHECK(two.status == 1);
  CHECK(two.err ==
        "ropejit: A: the known model google/gemma-3-4b-it, rotation 1\n"
        "ropejit: B: the known model Qwen/Qwen3-8B\n");
  CHECK(number(object(two), "rotation_a") == 1);
  CHECK(text(object(two), "model_b") == "Qwen/Qwen3-8B");
  CHECK(program({"diff", "llama-3.1-8b", llama, "--layer", "3"}).status == 0);

  struct Row {
    Words words;
    Words said;
  };
  const Row rows[] = {
      {{"qwen3-8b", "gemma-3-4b-it"}, {"--rotation: missing; google/gemma-3-4b-it has 2 rotations"}},
      {{"qwen3-8b", "gemma-3-4b-it", "--rotation", "2"}, {"--rotation: found 2, of the 2 rotations of google/gemma"}},
      {{"qwen3-8b", "qwen3-4b", "--rotation", "1"}, {"--rotation: found 1, of Qwen/Qwen3-8B, which has one rotation"}},
      {{"qwen3-8b", "qwen3-4b", "--layer", "1"}, {"--layer: found with the known model Qwen/Qwen3-8B"}},
      {{llama, llama, "--rotation", "0"}, {"--rotation: found with a config.json"}},
      {{llama, "qwen3-9b"}, {"B: found \"qwen3-9b\"", "did you mean Qwen/Qwen3-4B, Qwen/Qwen3-8B?"}},
      {{"7b", llama}, {"A: found \"7b\""}},
  };
  for (const Row& row : rows) check_refused(program(with({"diff"}, row.words)), row.said);
}

TEST_CASE("warm and check take known names, folders and standard input where they take a config.json") {
  Program program;
  const std::string config = program.file("config.json", kConfig);
  const Words dry = {"warm", "--arch", "9.0", "--form", "plain", "--dry-run", "--json", "--hf"};
  const Finished names = program(with(dry, {"qwen3-8b", "gemma-3-4b-it"}));
  CHECK(names.status == 0);
  CHECK(names.err ==
        "ropejit: --hf: the known model Qwen/Qwen3-8B\n"
        "ropejit: --hf: the known model google/gemma-3-4b-it\n");
  CHECK(number(object(names), "models") == 2);
  CHECK(number(object(names), "plans") == 6);  // three rotations in two forms
  program.input = config;
  const Finished others = program(with(dry, {program.folder.path(), "qwen3-8b"}));
  CHECK(number(object(others), "models") == 2);
  CHECK(number(object(program(with(dry, {"-"}))), "models") == 1);
  const Finished check = program({"check", "--hf", "qwen3-8b", "--arch", "9.0"});
  CHECK(check.status == 1);
  CHECK(holds(check.out, "ropejit warm --hf qwen3-8b"));

  struct Row {
    Words words;
    const char* said;
  };
  const Row rows[] = {
      {{"qwen3-8b", "Qwen/Qwen3-8B"}, "--hf: found \"Qwen/Qwen3-8B\" a second time, allowed: once"},
      {{"qwen3-9b"}, "--hf: found \"qwen3-9b\""},
      {{"qwen3-8b", "--as", "llama"}, "--as: found with known models, allowed: with a model's config.json"},
      {{program.file("spec.json", kTwoHeads)}, "spec.json: found a spec, allowed: a model's config.json"},
      {{"-", "-"}, "--hf: found \"-\" a second time"},
  };
  for (const Row& row : rows) {
    const Finished refused = program(with(dry, row.words));
    INFO(refused.err);
    CHECK(refused.status == 2);
    CHECK(refused.out.empty());
    CHECK(holds(refused.err, row.said));
  }
}
