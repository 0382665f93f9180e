// warm and check as a person runs them.
#include <filesystem>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "deploy/sample_manifests.hpp"
#include "ropejit/form.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::test;

namespace {

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("check says what is missing and how to add it; warm adds it; then check is content") {
  const Program program;
  const std::string manifest = program.file("small.json", kSmallManifest);
  const std::string cache = program.folder / "warm";
  const Finished before = program({"check", "--manifest", manifest, "--arch", "host", "--cache-dir", cache});
  CHECK(before.status == 1);
  CHECK(holds(before.out, "are missing"));
  CHECK(holds(before.out, "to add them: ropejit warm --manifest " + manifest + " --arch host --out " + cache));
  CHECK_FALSE(std::filesystem::exists(cache));

  const Finished dry = program({"warm", "--manifest", manifest, "--arch", "host", "--out", cache, "--dry-run"});
  CHECK(dry.status == 0);
  CHECK(holds(dry.out, "1 models, 2 plans of 1 classes, 1 archs: "));
  CHECK_FALSE(std::filesystem::exists(cache));

  const llvm::json::Object made =
      object(program({"warm", "--manifest", manifest, "--arch", "host", "--out", cache, "--json"}));
  CHECK(number(made, "compiled") == number(made, "entries"));
  CHECK(number(made, "compiled") > 0);
  CHECK(number(made, "failed") == 0);

  const Finished after = program({"check", "--manifest", manifest, "--arch", "host", "--cache-dir", cache});
  CHECK(after.status == 0);
  CHECK(holds(after.out, "binaries of 2 plans are there"));
  const Finished again = program({"warm", "--manifest", manifest, "--arch", "host", "--out", cache});
  CHECK(again.status == 0);
  CHECK(holds(again.out, "0 compiled"));
  // Another directory, with this one to look at.
  Program other;
  other.environment["ROPEJIT_CACHE_PATH"] = cache;
  CHECK(other({"check", "--manifest", manifest, "--arch", "host"}).status == 0);

  const Finished wider =
      program({"check", "--manifest", manifest, "--arch", "host,9.0", "--cache-dir", cache, "--json"});
  CHECK(wider.status == 1);
  const llvm::json::Object missing = object(wider);
  CHECK(missing.getBoolean("complete") == false);
  REQUIRE(missing.getArray("missing") != nullptr);
  for (const llvm::json::Value& one : *missing.getArray("missing")) {
    CHECK(one.getAsObject()->getString("arch") == llvm::StringRef("sm_90"));
    CHECK(one.getAsObject()->getString("reason") == llvm::StringRef("no such entry"));
  }
}

TEST_CASE("Everything wrong with what warm is told is said in one go, and nothing is compiled") {
  const Program program;
  const std::string bad = program.file("bad.json", R"({"schema":1,"dtypes":["bf8"],"dtypes":["bf16"],"models":["none"],
    "forms":["vllm"],"archs":["9.0","9.0"],"what":1})");
  const std::string good = program.file("good.json", kSmallManifest);
  const std::string config = program.file("config.json", R"({"model_type":"llama"})");
  const std::string recorded = program.file("recorded", "{}\n[]\n");
  struct Row {
    std::vector<std::string> words;
    std::vector<const char*> said;
  };
  const Row rows[] = {
      {{"--manifest", bad, "--arch", "9.0,1.0,90", "--shard", "3/2"},
       {"dtypes: found this key twice", "models[0]: found \"none\"", "archs[1]", "what: found an unknown key",
        "--arch[1]: found \"1.0\"", "--arch[2]: found sm_90 a second time", "--shard: found \"3/2\""}},
      {{"--manifest", "lama", "--arch", "9.0"}, {"--manifest: found \"lama\", allowed: all, deepseek"}},
      {{"--manifest", "./nowhere.json", "--dtype", "x"}, {"nowhere.json: No such file", "--dtype[0]: found \"x\""}},
      {{"--manifest", good}, {"--arch: missing"}},
      {{"--arch", "9.0"}, {"found 0 of them, allowed: one"}},
      {{"--manifest", good, "--hf", config, "--arch", "x"}, {"found 2 of them", "--arch[0]: found \"x\""}},
      {{"--manifest", good, "--arch", "9.0", "more"}, {"found the word \"more\""}},
      {{"--manifest", good, "--arch", "9.0", "--device-key", "sm_80/1/1/1/1"}, {"--device-key: found"}},
      {{"--manifest", good, "--arch", "9.0", "--form", "fast", "--tensor-parallel", "0"},
       {"--form[0]: found \"fast\", allowed: plain, vllm", "--tensor-parallel[0]: found 0"}},
      {{"--hf", config, config, "--arch", "9.0"}, {"config.json: num_hidden_layers", "a second time"}},
      {{"--recorded", recorded, "--dtype", "bf16"},
       {"line 1: schema", "line 2: JSON", "--dtype: found with --recorded"}},
  };
  for (const Row& row : rows) {
    for (const char* command : {"warm", "check"}) {
      std::vector<std::string> words = row.words;
      words.insert(words.begin(), command);
      const Finished finished = program(words);
      INFO(finished.out << finished.err);
      CHECK(finished.status == 2);
      CHECK(finished.out.empty());
      for (const char* part : row.said) {
        INFO(part);
        CHECK(holds(finished.err, part));
      }
      CHECK(lines_of(finished.err) >= row.said.size());
    }
  }
  CHECK(program({"warm", "--manifest", good, "--arch", "9.0", "--jobs", "0"}).status == 2);
  CHECK_FALSE(std::filesystem::exists(program.cache()));
}

TEST_CASE("warm takes a config.json, and what a service recorded") {
  const Program program;
  const std::string config = program.file("config.json", R"({"model_type":"llama","num_attention_heads":2,
    "num_key_value_heads":1,"hidden_size":8,"num_hidden_layers":2,"torch_dtype":"float32"})");
  const llvm::json::Object dry = object(program({"warm", "--hf", config, "--arch", "8.0,host", "--dry-run", "--json"}));
  CHECK(number(dry, "models") == 1);
  CHECK(number(dry, "plans") == 2);
  CHECK(number(dry, "missing") == number(dry, "entries"));

  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 4;
  spec.q = {2, 4, 0};
  const std::string recorded = program.file(
      "recorded", R"({"schema":1,"spec":)" + spec.to_json() + R"(,"form":)" + LaunchForm::in_place_start().to_json() +
                      R"(,"arch":"sm_90","device":"sm_90/132/2619/5120/52428800"})" + "\n");
  const Finished check = program({"check", "--recorded", recorded});
  CHECK(check.status == 1);
  CHECK(holds(check.out, "sm_90"));
  CHECK(holds(check.out, "ropejit warm --recorded " + recorded));
}

TEST_CASE("What comes to nothing is said with its reason, and is no success") {
  const Program program;
  const auto config = [&](const std::string& name, int heads, int key_heads) {
    return program.file(name, R"({"model_type":"llama","num_attention_heads":)" + std::to_string(heads) +
                                  R"(,"num_key_value_heads":)" + std::to_string(key_heads) + R"(,"hidden_size":)" +
                                  std::to_string(heads * 8) + R"(,"num_hidden_layers":2,"torch_dtype":"float32"})");
  };
  const std::string odd = config("odd.json", 28, 4);
  const std::string unlike = config("unlike.json", 12, 3);
  const std::string even = config("even.json", 8, 8);
  const std::string empty = program.file("empty", "\n");
  const std::string manifest = program.file("m.json", R"({"schema":1,"tensor_parallel":[3,8],"models":[
    {"name":"odd","ropes":[{"rotary_dim":4,"q":{"heads":28,"head_dim":4}}]}],"dtypes":["bf16"],"forms":["plain"]})");
  struct Row {
    std::vector<std::string> words;
    const char* said;
  };
  const Row rows[] = {
      {{"--hf", odd, "--tensor-parallel", "8"},
       "odd.json: tensor_parallel: found 8, allowed for 28 query heads and 4 key heads: 1, 2, 4, 28"},
      {{"--hf", unlike, "--tensor-parallel", "2,4"},
       "found 2, 4, allowed for 12 query heads and 3 key heads: 1, 3, 6, 12"},
      {{"--manifest", manifest}, "odd: tensor_parallel: found 3, 8, allowed for 28 query heads: 1, 2, 4, 7, 14, 28"},
      {{"--recorded", empty}, "found nothing that needs a binary"},
  };
  for (const Row& row : rows) {
    for (const char* command : {"warm", "check"}) {
      std::vector<std::string> words = row.words;
      words.insert(words.begin(), command);
      words.insert(words.end(), {"--arch", "host"});
      const Finished finished = program(words);
      INFO(finished.out << finished.err);
      CHECK(finished.status == 2);
      CHECK(finished.out.empty());
      CHECK(holds(finished.err, row.said));
    }
  }
  // One of two: the other is what it comes to, and the first is told of.
  const Finished one = program({"check", "--hf", odd, even, "--tensor-parallel", "8", "--arch", "host"});
  CHECK(one.status == 1);
  CHECK(holds(one.err, "odd.json: tensor_parallel: found 8"));
  CHECK_FALSE(holds(one.err, "even.json"));
}

TEST_CASE("A part without a binary of its own is no failure, and is not called complete") {
  const Program program;
  const std::string manifest = program.file("small.json", kSmallManifest);
  int without = 0;
  for (int part = 1; part <= 40; ++part) {
    const Finished ran =
        program({"check", "--manifest", manifest, "--arch", "host", "--shard", std::to_string(part) + "/40"});
    CHECK_FALSE(holds(ran.out, "all 0 "));
    if (ran.status != 0) continue;
    ++without;
    CHECK(holds(ran.out, "part " + std::to_string(part) + " of 40 has none of the "));
  }
  CHECK(without > 0);
}

TEST_CASE("warm does not begin where nothing can be kept") {
  const Program program;
  const std::string manifest = program.file("small.json", kSmallManifest);
  const std::string out = program.folder / "open";
  std::filesystem::create_directory(out);
  std::filesystem::permissions(out, std::filesystem::perms::all);
  const Finished ran = program({"warm", "--manifest", manifest, "--arch", "host", "--out", out});
  CHECK(ran.status == 1);
  CHECK(ran.out.empty());
  CHECK(holds(ran.err, "nothing in " + out + " serves, and binaries are not kept: "));
  CHECK(std::filesystem::is_empty(out));
}

TEST_CASE("warm --list names manifests, forms and models") {
  const Finished list = Program()({"warm", "--list"});
  CHECK(list.status == 0);
  for (const char* name : {"  all\n", "  vllm ", "  ggml ", "    deepseek-ai/DeepSeek-V3\n"}) {
    INFO(name);
    CHECK(holds(list.out, name));
  }
}

TEST_CASE("Without an NVRTC nothing is compiled, and the reason is one line") {
  Program program;
  program.environment["ROPEJIT_NVRTC"] = "/nonexistent/libnvrtc.so";
  const Finished finished =
      program({"warm", "--manifest", program.file("small.json", kSmallManifest), "--arch", "9.0"});
  CHECK(finished.status == 1);
  CHECK(lines_of(finished.err) == 1);
  CHECK_FALSE(std::filesystem::exists(program.cache()));
}
