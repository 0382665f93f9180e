// A config.json through the C ABI.
#include <llvm/Support/raw_ostream.h>

#include <cstring>
#include <string>
#include <vector>

#include "ropejit/model.hpp"
#include "ropejit/ropejit.h"
#include "support/catch.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

namespace {

constexpr const char* kFields = R"("num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 256)";

std::string config(const std::string& type) { return R"({"model_type": ")" + type + "\", " + kFields + "}"; }

// The whole answer; fails the test where there is none.
llvm::json::Object answer_of(const std::string& text, const char* options) {
  size_t length = 0;
  const ropejit_status status = ropejit_model_ropes(text.c_str(), options, nullptr, 0, &length);
  INFO(ropejit_last_error());
  REQUIRE(status == ROPEJIT_OK);
  std::string answer(length + 1, 'x');
  REQUIRE(ropejit_model_ropes(text.c_str(), options, answer.data(), answer.size(), nullptr) == ROPEJIT_OK);
  CHECK(answer.back() == '\0');
  answer.pop_back();
  CHECK(answer.find('\0') == std::string::npos);
  return ropejit::internal::parse_json_object(answer);
}

std::string text_of(const llvm::json::Value& value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

}  // namespace

TEST_CASE("C gets every layer's spec, indexer and vision tower as C++ reads them") {
  for (const char* name : {"llama-3.1-8b", "llama-4-scout", "deepseek-v3.2", "qwen2.5-vl-7b"}) {
    INFO(name);
    const std::string text = ropejit::test::read_test_file(std::string("data/models/") + name + ".json");
    const auto model = ropejit::ModelRopes::from_hf_config(text);
    const llvm::json::Object answer = answer_of(text, nullptr);
    const llvm::json::Array& layers = *answer.getArray("layers");
    REQUIRE(layers.size() == static_cast<std::size_t>(model.layers()));
    const auto check = [](const llvm::json::Value* found, const ropejit::RopeSpec* spec) {
      REQUIRE(found != nullptr);
      if (spec == nullptr) {
        CHECK(found->getAsNull());
      } else {
        CHECK(ropejit::RopeSpec::from_json(text_of(*found)) == *spec);
      }
    };
    for (std::int64_t i = 0; i < model.layers(); ++i) {
      const llvm::json::Object& layer = *layers[static_cast<std::size_t>(i)].getAsObject();
      CHECK(layer.getInteger("layer") == i);
      CHECK(layer.getString("kind")->str() == model.kind(i));
      check(layer.get("spec"), model.find(i));
      if (layer.get("indexer") != nullptr) check(layer.get("indexer"), model.find(i, ropejit::RopeRole::indexer));
    }
    CHECK((layers[0].getAsObject()->get("indexer") != nullptr) == (std::strcmp(name, "deepseek-v3.2") == 0));
    const llvm::json::Array* patches = answer.getArray("vision_layers");
    const std::int64_t vision = model.layers(ropejit::RopeRole::vision);
    REQUIRE((patches == nullptr ? 0 : patches->size()) == static_cast<std::size_t>(vision));
    if (patches != nullptr) {
      check((*patches)[0].getAsObject()->get("spec"), model.find(0, ropejit::RopeRole::vision));
    }
    CHECK(answer.getArray("warnings")->empty());
  }
}

TEST_CASE("C reads a config as another type, and is told what nothing reads") {
  const llvm::json::Object answer = answer_of(config("of-next-year"), R"({"as": "llama", "tp": 2, "dtype": "fp16"})");
  CHECK(answer.getArray("warnings")->size() == 1);
  const llvm::json::Object& spec = *(*answer.getArray("layers"))[0].getAsObject()->getObject("spec");
  CHECK(spec.getObject("q")->getInteger("heads") == 2);
  CHECK(spec.getString("dtype") == llvm::StringRef("fp16"));
  const std::string odd = std::string(R"({"model_type": "llama", "rope_base": 7, )") + kFields + "}";
  const llvm::json::Object told = answer_of(odd, "{}");
  REQUIRE(told.getArray("warnings")->size() == 1);
  CHECK((*told.getArray("warnings"))[0].getAsString()->contains("rope_base"));
}

TEST_CASE("C reads a config whose specs are rounded as an engine's kernels") {
  const std::string qwen3 =
      std::string(R"({"model_type": "qwen3", "head_dim": 64, "num_key_value_heads": 2, )") + kFields + "}";
  const llvm::json::Object answer = answer_of(qwen3, R"({"round_as": "flashinfer", "prologue": true})");
  const llvm::json::Object& spec = *(*answer.getArray("layers"))[0].getAsObject()->getObject("spec");
  CHECK(text_of(*spec.get("round_after")) == R"(["weight"])");
}

TEST_CASE("bad arguments of ropejit_model_ropes are named, and write nothing") {
  struct Row {
    const char* config;
    const char* options;
    ropejit_status status;
    const char* said;
  };
  const std::string llama = config("llama");
  const std::string unknown = config("of-next-year");
  const Row rows[] = {
      {nullptr, nullptr, ROPEJIT_INVALID_ARGUMENT, "config_json"},
      {"", nullptr, ROPEJIT_PARSE_ERROR, "JSON"},
      {unknown.c_str(), nullptr, ROPEJIT_UNSUPPORTED, "of-next-year"},
      {llama.c_str(), "[]", ROPEJIT_PARSE_ERROR, "JSON"},
      {llama.c_str(), R"({"is": "llama"})", ROPEJIT_PARSE_ERROR, "is: found an unknown key"},
      {llama.c_str(), R"({"as": "of-next-year"})", ROPEJIT_INVALID_ARGUMENT, "as: found \"of-next-year\""},
      {llama.c_str(), R"({"as": 3})", ROPEJIT_PARSE_ERROR, "as: found 3"},
      {llama.c_str(), R"({"tp": 0})", ROPEJIT_INVALID_ARGUMENT, "tp: found 0"},
      {llama.c_str(), R"({"tp": 3})", ROPEJIT_INVALID_ARGUMENT, "tp: found 3"},
      {llama.c_str(), R"({"round_as": "trt"})", ROPEJIT_INVALID_ARGUMENT, "round_as: found \"trt\", allowed: exact, "},
      {llama.c_str(), R"({"round_as": "vllm", "parity": true})", ROPEJIT_INVALID_ARGUMENT, "found vllm with parity"},
      {llama.c_str(), R"({"dtype": "int8"})", ROPEJIT_PARSE_ERROR, "dtype"},
  };
  for (const Row& row : rows) {
    char text[16] = "of before";
    size_t length = 99;
    const ropejit_status status = ropejit_model_ropes(row.config, row.options, text, sizeof text, &length);
    INFO(ropejit_last_error());
    CHECK(status != ROPEJIT_OK);
    if (row.status != ROPEJIT_PARSE_ERROR) CHECK(status == row.status);
    CHECK(std::strstr(ropejit_last_error(), row.said) != nullptr);
    CHECK(text[0] == '\0');
    CHECK(length == 0);
  }
  CHECK(ropejit_model_ropes(llama.c_str(), nullptr, nullptr, 5, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  char few[4];
  size_t length = 0;
  CHECK(ropejit_model_ropes(llama.c_str(), nullptr, few, sizeof few, &length) == ROPEJIT_OK);
  CHECK(few[3] == '\0');
  CHECK(length > 100);
}
