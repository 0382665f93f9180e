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

TEST_CASE("roundings are an engine's by name, and --rounding is taken over it") {
  const Program program;
  const std::string model = program.file(
      "spec.json",
      R"({"schema": 1, "q": {"heads": 4, "head_dim": 8, "norm": {"eps": 1e-6}}, "rounding": "p1", "round_after": ["norm"]})");
  const Finished given = program({"inspect", "--model", model, "--round-as", "vllm"});
  INFO(given.out << given.err);
  CHECK(given.status == 0);
  CHECK(given.out.find(" rounded after weight forward") != std::string::npos);
  CHECK(given.out.find(" rounding ") == std::string::npos);
  const Finished over = program({"inspect", "--model", model, "--rounding=p2", "--round-as=tensorrt_llm"});
  CHECK(over.out.find(" rounding p2 forward") != std::string::npos);
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

TEST_CASE("inspect tells each stage of each operand with its numbers, to programs and to people") {
  const Program program;
  const std::string spec = program.file("spec.json", R"({
    "schema": 1, "rotary_dim": 16, "round_after": ["weight", "tau"],
    "q": {"heads": 4, "head_dim": 16, "norm": {"eps": 1e-5, "plus_one": true},
          "temperature": {"coefficient": 0.25, "length": 8192}},
    "k": {"heads": 2, "head_dim": 16, "bias": true, "clamp": 7.5, "order": ["bias", "clamp", "rotate", "norm"],
          "norm": {"span": "token", "weight": "heads", "statistic": "given_sum", "global_heads": 8}},
    "v": {"heads": 2, "head_dim": 16, "scale": 0.5, "head_scales": true}})");
  const Finished finished = program({"inspect", "--model", spec, "--norm-statistics", "--json"});
  INFO(finished.err);
  REQUIRE(finished.status == 0);
  const llvm::json::Object report = object(finished);
  const auto stage = [&](std::size_t operand, std::size_t place) -> const llvm::json::Object& {
    return *(*(*report.getArray("operands"))[operand].getAsObject()->getArray("stages"))[place].getAsObject();
  };
  CHECK(text(stage(0, 0), "kind") == "rms");
  CHECK(text(stage(0, 0), "span") == "head");
  CHECK(text(stage(0, 0), "weights") == "lanes");
  CHECK(number(stage(0, 0), "eps") == 1e-5);
  CHECK(stage(0, 0).getBoolean("plus_one") == true);
  CHECK(stage(0, 0).getBoolean("round_weighted") == true);
  CHECK(stage(0, 0).getBoolean("round_normed") == false);
  CHECK(text(stage(0, 0), "statistic") == "handed_out");
  CHECK(number(stage(0, 0), "statistics_per_token") == 4);
  CHECK(text(stage(0, 2), "stage") == "temperature");
  CHECK(number(stage(0, 2), "coefficient") == 0.25);
  CHECK(number(stage(0, 2), "length") == 8192);
  CHECK(stage(0, 2).getBoolean("round_tau") == true);
  CHECK(text(stage(1, 0), "stage") == "bias");
  CHECK(number(stage(1, 1), "limit") == 7.5);
  CHECK(text(stage(1, 2), "stage") == "rotate");
  CHECK(text(stage(1, 3), "span") == "token");
  CHECK(text(stage(1, 3), "weights") == "heads");
  CHECK(text(stage(1, 3), "statistic") == "sum_given");
  CHECK(number(stage(1, 3), "statistics_per_token") == 1);
  CHECK(number(stage(1, 3), "global_heads") == 8);
  CHECK(number(stage(2, 0), "factor") == 0.5);
  CHECK(text(stage(2, 1), "stage") == "head_scale");

  const Finished person = program({"inspect", "--model", spec, "--norm-statistics"});
  REQUIRE(person.status == 0);
  const char* const lines[] = {
      "\nq  4x16  written over itself, bf16\n",
      "     norm         kind rms, span head, eps 1e-05, weights lanes, weight_dtype bf16, plus_one, ",
      ", statistic handed_out, statistics_per_token 4\n",
      "     temperature  coefficient 0.25, length 8192, offset 0, steps, round_tau\n",
      "     bias\n     clamp        limit 7.5\n     rotate       first_lane 0, rotary_dim 16\n     norm         kind "
      "rms, "
      "span token, ",
      "\nv  2x16  to v_out, bf16\n     scale        factor 0.5\n     head_scale\n",
  };
  for (const char* const line : lines) {
    INFO(line << " in " << person.out);
    CHECK(person.out.find(line) != std::string::npos);
  }
}
