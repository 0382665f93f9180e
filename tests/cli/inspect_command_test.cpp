// ropejit inspect, as a process, on the host target.
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

TEST_CASE("inspect prints the frequencies and hashes of a real model") {
  const Program program;
  const std::string model = program.file("config.json", ropejit::test::read_test_file("data/models/llama-3.1-8b.json"));
  const Finished finished = program({"inspect", "--model", model, "--json"});
  REQUIRE(finished.status == 0);
  const llvm::json::Object report = object(finished);
  std::vector<std::string> keys;
  for (const auto& item : report) keys.push_back(llvm::StringRef(item.first).str());
  std::sort(keys.begin(), keys.end());
  CHECK(keys == std::vector<std::string>{"attention_scale", "class_hash", "dtype", "first_lane", "head_dim", "inv_freq",
                                         "kv_heads", "layout", "operands", "plan_hash", "q_heads", "rotary_dim",
                                         "scaling", "softmax_scale", "steps", "theta"});
  CHECK(text(report, "layout") == "split_half");
  CHECK(text(report, "dtype") == "bf16");
  CHECK(number(report, "head_dim") == 128);
  CHECK(number(report, "rotary_dim") == 128);
  CHECK(number(report, "first_lane") == 0);
  CHECK(number(report, "q_heads") == 32);
  CHECK(number(report, "kv_heads") == 8);
  CHECK(number(report, "theta") == 500000);
  CHECK(number(report, "attention_scale") == 1);
  CHECK(number(report, "softmax_scale") == 1);
  REQUIRE(report.getObject("scaling") != nullptr);
  CHECK(text(*report.getObject("scaling"), "rope_type") == "llama3");
  REQUIRE(report.getArray("inv_freq") != nullptr);
  REQUIRE(report.getArray("steps") != nullptr);
  CHECK(report.getArray("inv_freq")->size() == 64);
  CHECK(report.getArray("steps")->size() == 64);
  // One radian is 2^64 / (2 pi) = 2935890503282001226.0 steps.
  CHECK((*report.getArray("steps"))[0].getAsString()->str() == "2935890503282001226");
  CHECK((*report.getArray("inv_freq"))[0].getAsNumber() == 1.0);
  CHECK(finished.out.find("0.0021665707635033587") != std::string::npos);  // pair 29, blended: 17 digits

  const Finished person = program({"inspect", "--model", model});
  CHECK(person.status == 0);
  CHECK(person.out.find("served by") != std::string::npos);
  CHECK(person.out.find("universal_") != std::string::npos);
}

TEST_CASE("inspect reports both scales, and asks for the length that a rule depends on") {
  const Program program;
  const auto spec_with = [&](const char* scaling) {
    return program.file(
        "spec.json",
        std::string(R"({"schema": 1, "q": {"heads": 4, "head_dim": 8}, "rope_scaling": )") + scaling + "}");
  };
  const std::string yarn = spec_with(R"({"rope_type": "yarn", "factor": 40, "original_max_position_embeddings": 4096,
                                         "mscale_all_dim": 1, "scale_softmax": true})");
  const llvm::json::Object report = object(program({"inspect", "--model", yarn, "--json"}));
  CHECK(std::fabs(number(report, "attention_scale") - 1.36888795) < 1e-8);
  CHECK(std::fabs(number(report, "softmax_scale") - 1.87385421) < 1e-8);
  const Finished person = program({"inspect", "--model", yarn});
  CHECK(person.out.find("cos and sin times 1.36") != std::string::npos);
  CHECK(person.out.find("softmax scale times 1.87") != std::string::npos);

  const std::string dynamic = spec_with(R"({"rope_type": "dynamic", "factor": 2, "max_position_embeddings": 2048})");
  const Finished refused = program({"inspect", "--model", dynamic});
  CHECK(refused.status == 2);
  CHECK(refused.err.find("max_length") != std::string::npos);
  CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
  const Finished resolved = program({"inspect", "--model", dynamic, "--max-length", "8192"});
  CHECK(resolved.status == 0);
  CHECK(resolved.out.find("max_length 8192") != std::string::npos);
}

TEST_CASE("roundings and the sine are the spec's, or an option's over it") {
  const Program program;
  const std::string model = program.file(
      "spec.json", R"({"schema": 1, "q": {"heads": 4, "head_dim": 8}, "rounding": "p2", "angle": "fp32"})");
  const Finished given = program({"inspect", "--model", model});
  CHECK(given.status == 0);
  CHECK(given.out.find(" rounding p2 angle fp32 forward") != std::string::npos);
  const Finished changed =
      program({"inspect", "--model", model, "--rounding=exact", "--angle=fp32_inv_freq", "--sine=hardware"});
  CHECK(changed.status == 0);
  CHECK(changed.out.find(" angle fp32_inv_freq sine hardware forward") != std::string::npos);
  CHECK(changed.out.find("rounding") == std::string::npos);
}

TEST_CASE("inspect shows frequencies as they were rounded") {
  const Program program;
  const std::string model = program.file("spec.json", R"({"schema": 1, "q": {"heads": 4, "head_dim": 8}})");
  const auto first_slow_pair = [&](const char* angle) {
    const llvm::json::Object report = object(program({"inspect", "--model", model, "--json", "--angle", angle}));
    return *(*report.getArray("inv_freq"))[1].getAsNumber();
  };
  CHECK(first_slow_pair("exact") == 0.1);
  CHECK(first_slow_pair("fp32_inv_freq") == static_cast<double>(0.1f));
}

TEST_CASE("inspect tells the layers of a model apart, and --layer picks one") {
  const Program program;
  const std::string model = program.file(
      "config.json", R"({"model_type": "cohere2", "num_attention_heads": 4, "head_dim": 8, "rope_theta": 50000,
                         "num_hidden_layers": 8})");
  const Finished all = program({"inspect", "--model", model, "--layers"});
  CHECK(all.status == 0);
  CHECK(std::count(all.out.begin(), all.out.end(), '\n') == 4);
  CHECK(all.out.find("0-2  sliding_attention   interleaved bf16 q 4x8") != std::string::npos);
  CHECK(all.out.find("7  full_attention      none") != std::string::npos);

  const llvm::json::Object report = object(program({"inspect", "--model", model, "--layers", "--json"}));
  const llvm::json::Array* layers = report.getArray("layers");
  REQUIRE(layers != nullptr);
  REQUIRE(layers->size() == 8);
  CHECK(number(*(*layers)[3].getAsObject(), "layer") == 3);
  CHECK((*layers)[3].getAsObject()->get("spec")->kind() == llvm::json::Value::Null);
  CHECK(number(*(*layers)[0].getAsObject()->getObject("spec"), "rope_theta") == 50000);

  CHECK(program({"inspect", "--model", model, "--layer", "0"}).status == 0);
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--layer", "3"}, {"--layer", "8"}, {"--layer", "-1"}}) {
    std::vector<std::string> words{"inspect", "--model", model};
    words.insert(words.end(), more.begin(), more.end());
    const Finished refused = program(words);
    INFO(refused.err);
    CHECK(refused.status == 2);
    CHECK(refused.err.find("layer") != std::string::npos);
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
  }
}
