// ropejit diff, and what inspect tells of a model's parts.
#include <llvm/Support/JSON.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit::test;

namespace {

std::string model(const std::string& name) { return read_test_file("data/models/" + name + ".json"); }

std::string spec(const std::string& more) {
  return R"({"schema":1,"q":{"heads":4,"head_dim":8},"k":{"heads":2,"head_dim":8})" + more + "}";
}

// The names of the fields that differ.
std::vector<std::string> fields(const llvm::json::Object& report, const char* key) {
  std::vector<std::string> names;
  const llvm::json::Array* array = report.getArray(key);
  REQUIRE(array != nullptr);
  for (const llvm::json::Value& field : *array) names.push_back(field.getAsObject()->getString("field")->str());
  return names;
}

}  // namespace

TEST_CASE("two files of one rotation are the same plan, status 0") {
  const Program program;
  const std::string a = program.file("a.json", spec(R"(,"rope_theta":500)"));
  // A scaling that scales nothing is no other plan.
  const std::string b =
      program.file("b.json", spec(R"(,"rope_theta":500,"rope_scaling":{"rope_type":"linear","factor":1})"));
  const Finished text = program({"diff", a, b});
  CHECK(text.status == 0);
  CHECK(text.err.empty());
  CHECK(text.out.find("same plan ") != std::string::npos);
  const llvm::json::Object report = object(program({"diff", a, b, "--json"}));
  CHECK(report.getBoolean("same") == true);
  CHECK(report.getString("plan_hash_a") == report.getString("plan_hash_b"));
  CHECK(fields(report, "fields").empty());
  CHECK(report.getArray("pairs")->empty());
}

TEST_CASE("what differs is named, and how far angles come apart") {
  const Program program;
  const std::string a = program.file("a.json", spec(R"(,"rope_theta":10000)"));
  const std::string b =
      program.file("b.json", spec(R"(,"rope_theta":10000,"rope_scaling":{"rope_type":"linear","factor":4})"));
  const Finished finished = program({"diff", a, b, "--json", "--max-length", "1001"});
  CHECK(finished.status == 1);
  const llvm::json::Object report = object(finished);
  CHECK(report.getBoolean("same") == false);
  CHECK(fields(report, "fields").empty());
  CHECK(fields(report, "explanations") == std::vector<std::string>{"scaling"});
  const llvm::json::Array& pairs = *report.getArray("pairs");
  REQUIRE(pairs.size() == 4);
  CHECK(pairs[1].getAsObject()->getNumber("pair") == 1.0);
  CHECK(std::fabs(*pairs[1].getAsObject()->getNumber("a") - 0.1) < 1e-15);
  CHECK(std::fabs(*pairs[1].getAsObject()->getNumber("b") - 0.025) < 1e-15);
  CHECK(std::fabs(*pairs[1].getAsObject()->getNumber("relative") - 0.75) < 1e-12);
  CHECK(report.getObject("worst")->getNumber("pair") == 0.0);
  CHECK(std::fabs(*report.getObject("worst")->getNumber("radians") - 750) < 1e-9);

  const Finished text = program({"diff", a, b});
  CHECK(text.status == 1);
  for (const char* words : {"plans differ", "4 of 4 pairs differ, from 0 to 3", "--max-length"}) {
    INFO(words << "\n" << text.out);
    CHECK(text.out.find(words) != std::string::npos);
  }
}

TEST_CASE("every part of a plan that differs is a field") {
  struct Row {
    std::string other;  // than a plain spec
    std::vector<std::string> fields;
    std::size_t pairs;
  };
  const Row rows[] = {
      {spec(R"(,"layout":"interleaved")"), {"layout", "layout_out"}, 0},
      {spec(R"(,"layout_out":"interleaved")"), {"layout_out"}, 0},
      {spec(R"(,"direction":"adjoint")"), {"sign"}, 4},
      {spec(R"(,"dtype":"fp32")"), {"dtype"}, 0},
      {spec(R"(,"rotary_dim":4)"), {"rotary_dim"}, 1},
      {R"({"schema":1,"q":{"heads":8,"head_dim":8}})", {"q", "k"}, 0},
      {spec(R"(,"rope_scaling":{"rope_type":"inv_freq","inv_freq":[1,0.1,0.01,0.001],"attention_factor":1.5})"),
       {"attention_scale"},
       3},
  };
  const Program program;
  const std::string plain = program.file("plain.json", spec(""));
  for (const Row& row : rows) {
    INFO(row.other);
    const Finished finished = program({"diff", plain, program.file("other.json", row.other), "--json"});
    CHECK(finished.status == 1);
    const llvm::json::Object report = object(finished);
    CHECK(fields(report, "fields") == row.fields);
    CHECK(report.getArray("pairs")->size() <= 4);
    if (row.fields.front() != "attention_scale") CHECK(report.getArray("pairs")->size() == row.pairs);
    CHECK(report.get("max_length")->kind() == llvm::json::Value::Null);
  }
}

TEST_CASE("configs are compared at the longer one's length, by layer and role") {
  const Program program;
  const std::string llama2 = program.file("a.json", model("llama-2-7b"));
  const std::string longer = program.file("b.json", model("llama-2-7b-32k"));
  CHECK(object(program({"diff", llama2, longer, "--json"})).getInteger("max_length") == 32768);
  CHECK(object(program({"diff", longer, llama2, "--json"})).getInteger("max_length") == 32768);

  const std::string v32 = program.file("v32.json", model("deepseek-v3.2"));
  CHECK(program({"diff", v32, v32, "--role", "indexer"}).status == 0);
  CHECK(program({"diff", v32, v32, "--role", "indexer", "--layer", "60"}).status == 0);
  const std::string cohere2 =
      program.file("cohere2.json", R"({"model_type": "cohere2", "num_attention_heads": 4, "head_dim": 8,
                                       "rope_theta": 50000, "num_hidden_layers": 8})");
  CHECK(program({"diff", cohere2, cohere2, "--layer", "0"}).status == 0);
  const std::string dynamic =
      program.file("dynamic.json",
                   R"({"model_type": "llama", "num_attention_heads": 4, "head_dim": 8, "max_position_embeddings": 2048,
                          "rope_scaling": {"type": "dynamic", "factor": 2}})");
  const std::string plain = program.file(
      "plain.json",
      R"({"model_type": "llama", "num_attention_heads": 4, "head_dim": 8, "max_position_embeddings": 2048})");
  CHECK(program({"diff", dynamic, plain}).status == 0);
  CHECK(program({"diff", dynamic, plain, "--max-length", "4096"}).status == 1);

  struct Bad {
    std::vector<std::string> words;
    const char* named;
  };
  const Bad rows[] = {
      {{"diff"}, "A and B"},
      {{"diff", llama2}, "A and B"},
      {{"diff", llama2, llama2, llama2}, "found the word"},
      {{"diff", llama2, "nowhere.json"}, "B: "},
      {{"diff", "nowhere.json", llama2}, "A: "},
      {{"diff", cohere2, cohere2}, "layers: found"},
      {{"diff", cohere2, cohere2, "--layer", "3"}, "--layer: found 3"},
      {{"diff", v32, v32, "--role", "vision"}, "--role: found vision"},
      {{"diff", v32, v32, "--role", "audio"}, "--role: found \"audio\""},
      {{"diff", llama2, llama2, "--max-length", "0"}, "--max-length: found"},
  };
  for (const Bad& row : rows) {
    const Finished refused = program(row.words);
    INFO(row.named << "\n" << refused.err);
    CHECK(refused.status == 2);
    CHECK(refused.out.empty());
    CHECK(refused.err.find(row.named) != std::string::npos);
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
  }
}

TEST_CASE("inspect tells a model's roles and axes, and warns of what nothing reads") {
  const Program program;
  const std::string qwen = program.file("qwen.json", model("qwen2.5-vl-7b"));
  const Finished layers = program({"inspect", "--model", qwen, "--layers"});
  CHECK(layers.status == 0);
  CHECK(layers.err.empty());
  CHECK(layers.out.find("main\n     0-27") != std::string::npos);
  CHECK(layers.out.find("vision\n     0-31") != std::string::npos);
  const llvm::json::Object all = object(program({"inspect", "--model", qwen, "--layers", "--json"}));
  CHECK(all.getArray("layers")->size() == 28);
  CHECK(all.getArray("vision_layers")->size() == 32);
  const std::string v32 = program.file("v32.json", model("deepseek-v3.2"));
  CHECK(program({"inspect", "--model", v32, "--layers"}).out.find("indexer\n     0-60") != std::string::npos);
  const llvm::json::Object indexed = object(program({"inspect", "--model", v32, "--layers", "--json"}));
  CHECK((*indexed.getArray("layers"))[60].getAsObject()->getObject("indexer") != nullptr);

  const llvm::json::Object one = object(program({"inspect", "--model", qwen, "--json"}));
  REQUIRE(one.getObject("axes") != nullptr);
  CHECK(one.getObject("axes")->getString("order") == llvm::StringRef("chunked"));
  CHECK(one.getObject("axes")->getArray("sections")->size() == 3);
  const Finished tower = program({"inspect", "--model", qwen, "--role", "vision"});
  CHECK(tower.out.find("q 16x80") != std::string::npos);
  CHECK(tower.out.find("pairs of each axis 20, 20 (chunked), frequencies restarted") != std::string::npos);

  const std::string odd = program.file(
      "odd.json", R"({"model_type": "llama", "num_attention_heads": 4, "head_dim": 8, "num_hidden_layers": 1,
                                                       "rope_scaling": {"rope_type": "linear", "factor": 2, "fcator": 4}})");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"inspect", "--model", odd}, {"inspect", "--model", odd, "--layers", "--json"}}) {
    const Finished warned = program(words);
    CHECK(warned.status == 0);
    CHECK(warned.err == "ropejit: warning: " + odd + ": rope_scaling.fcator: found 4, which linear does not read\n");
  }
}
