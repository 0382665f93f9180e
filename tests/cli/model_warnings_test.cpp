// Every command that reads a config.json says what nothing reads of it, and what a type that is not known is read as.
#include <string>
#include <vector>

#include "cli/program.hpp"
#include "support/catch.hpp"

using ropejit::test::Finished;
using ropejit::test::Program;

namespace {

using Words = std::vector<std::string>;

// The commands with a config; they may fail for another reason (no GPU, no compiler), but not before they read it.
std::vector<Words> commands_with(const Program& program, const std::string& config) {
  return {
      {"inspect", "--model", config},
      {"inspect", "--model", config, "--layers"},
      {"inspect", "--model", config, "--layers", "--json"},
      {"source", "--model", config},
      {"variants", "--model", config},
      {"compile", "--model", config, "--arch", "sm_90", "--out", program.folder / "out"},
      {"run", "--model", config, "--device", "host", "--tokens", "1"},
      {"explain", "--model", config, "--device", "host"},
      {"tune", "--model", config, "--device", "host", "--tokens", "1"},
      {"diff", config, config},
      {"warm", "--hf", config, "--arch", "9.0", "--dry-run", "--out", program.folder / "warm"},
  };
}

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

constexpr const char* kFields = R"("num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16)";

}  // namespace

TEST_CASE("every command that reads a config warns of a key that nothing reads") {
  const Program program;
  const std::string config =
      program.file("config.json", std::string(R"({"model_type": "llama", "rope_base": 1000000, )") + kFields + "}");
  for (const Words& words : commands_with(program, config)) {
    INFO(words[0] << " " << words[1]);
    const Finished finished = program(words);
    INFO(finished.err);
    const std::string line = "ropejit: warning: " + config + ": rope_base: found 1000000";
    CHECK(finished.err.find(line) != std::string::npos);
    CHECK(finished.err.find("--as") == std::string::npos);
  }
}

TEST_CASE("every command refuses an unknown type with the ways on, and takes --as with a warning") {
  const Program program;
  const std::string unknown =
      program.file("config.json", std::string(R"({"model_type": "of-next-year", )") + kFields + "}");
  const std::string absent = program.file("absent.json", std::string("{") + kFields + "}");
  for (const std::string& config : {unknown, absent}) {
    for (const Words& words : commands_with(program, config)) {
      INFO(words[0] << " " << words[1] << " " << config);
      const Finished refused = program(words);
      INFO(refused.err);
      CHECK(refused.status != 0);
      CHECK(refused.out.empty());
      CHECK(refused.err.find("model_type: ") != std::string::npos);
      CHECK(refused.err.find("--as llama") != std::string::npos);
      CHECK(refused.err.find("a spec in JSON") != std::string::npos);
      const Finished read = program(with(words, {"--as", "llama"}));
      INFO(read.err);
      CHECK(read.err.find("read as \"llama\"") != std::string::npos);
      CHECK(read.err.find("a model type that this version builds") == std::string::npos);
    }
  }
}

TEST_CASE("--as names a type that is known, and belongs to a config") {
  const Program program;
  const std::string config = program.file("config.json", std::string(R"({"model_type": "llama", )") + kFields + "}");
  const Finished finished = program({"inspect", "--model", config, "--as", "of-next-year"});
  CHECK(finished.status != 0);
  CHECK(finished.err.find("as: found \"of-next-year\", which is not known") != std::string::npos);
  const std::string spec = program.file("spec.json", R"({"schema": 1, "q": {"heads": 1, "head_dim": 8}})");
  const Finished of_spec = program({"inspect", "--model", spec, "--as", "llama"});
  CHECK(of_spec.status != 0);
  CHECK(of_spec.err.find("--as: found with a spec") != std::string::npos);
  const Finished warm = program({"warm", "--manifest", "llama", "--arch", "9.0", "--as", "llama", "--dry-run"});
  CHECK(warm.status == 2);
  CHECK(warm.err.find("--as: found without --hf") != std::string::npos);
}

TEST_CASE("a manifest's own model says as what its config is read, and warns") {
  const Program program;
  const auto manifest = [&](const std::string& model) {
    return program.file("m.json",
                        R"({"schema":1,"dtypes":["bf16"],"forms":["plain"],"archs":["9.0"],"models":[)" + model + "]}");
  };
  const std::string config =
      std::string(R"("config": {"model_type": "of-next-year", "rope_base": 7, )") + kFields + "}";
  for (const char* command : {"warm", "check"}) {
    INFO(command);
    const Finished refused = program({command, "--manifest", manifest(R"({"name": "mine", )" + config + "}")});
    CHECK(refused.status != 0);
    CHECK(refused.err.find("of-next-year") != std::string::npos);
    const Words words = {command, "--manifest", manifest(R"({"name": "mine", "as": "llama", )" + config + "}")};
    const Finished read = program(std::string(command) == "warm" ? with(words, {"--dry-run"}) : words);
    INFO(read.err);
    CHECK(read.err.find("ropejit: warning: mine: model_type: found \"of-next-year\"") != std::string::npos);
    CHECK(read.err.find("ropejit: warning: mine: rope_base: found 7") != std::string::npos);
  }
}
