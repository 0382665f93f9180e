// Which model types are read, and what is said of all others.
#include <map>
#include <string>
#include <vector>

#include "hf/family.hpp"
#include "hf/sample_config.hpp"
#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using ropejit::internal::ObjectReader;
using ropejit::test::contains;
using ropejit::test::error_of;
using ropejit::test::is_one_line;

namespace {

// Everything that some family or other wants to be told.
constexpr const char* kFields =
    R"("num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 256, "head_dim": 64)"
    R"(, "rope_theta": 500000.0)";

std::string of_type(const std::string& model_type, const std::string& more = "") {
  return R"({"model_type": ")" + model_type + "\", " + kFields + more + "}";
}

ModelOptions as(const std::string& model_type) {
  ModelOptions options;
  options.as = model_type;
  return options;
}

void check_ways_on(const Error& error) {
  CHECK(error.code() != ErrorCode::internal);
  for (const char* way : {"a spec in JSON", "--as llama", "ModelOptions::as"}) CHECK(contains(error.what(), way));
  CHECK(is_one_line(error.what()));
}

}  // namespace

TEST_CASE("every model type that transformers' rotations were looked up for is read, or refused by name") {
  const llvm::json::Object golden = internal::parse_json_object(ropejit::test::read_test_file("golden/hf_models.json"));
  std::size_t read = 0;
  for (const llvm::json::Value& value : *golden.getArray("classes")) {
    const std::string type = value.getAsObject()->getString("model_type")->str();
    INFO(type);
    const bool known = internal::find_hf_family(type) != nullptr;
    CHECK(known == (internal::hf_refusal(type) == nullptr));
    read += known ? 1U : 0U;
  }
  CHECK(read >= 140);
}

TEST_CASE("types that are like a Llama in transformers are read as one") {
  const RopeSpec llama = ModelRopes::from_hf_config(of_type("llama")).single();
  for (const char* type : {"arcee", "diffllama", "dots1", "hyperclovax", "internlm3", "iquestcoder", "mistral",
                           "mixtral", "olmoe", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "seed_oss", "starcoder2"}) {
    INFO(type);
    const ModelRopes model = ModelRopes::from_hf_config(of_type(type));
    CHECK(model.single() == llama);
    CHECK(model.warnings().empty());
  }
}

TEST_CASE(
    "a whole model's language model is read by its own type, else by the one that the whole model's class gives it") {
  struct Row {
    const char* whole;
    const char* own;  // of the part; "": it has none
    const char* as;
  };
  const Row rows[] = {
      {"llava", "", "llama"},         {"llava", "mistral", "mistral"}, {"llava_onevision", "", "qwen2"},
      {"paligemma", "", "gemma"},     {"aya_vision", "", "cohere2"},   {"idefics3", "llama", "llama"},
      {"internvl", "qwen3", "qwen3"}, {"kimi_k25", "", "deepseek_v3"}, {"smolvlm", "", "llama"},
      {"lighton_ocr", "", "qwen3"},   {"voxtral", "", "llama"},        {"mistral3", "ministral3", "ministral3"},
  };
  const std::string more =
      R"(, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "kv_lora_rank": 64, "rope_parameters": )"
      R"({"rope_type": "linear", "factor": 2})";
  const std::string fewer = R"(, "rope_parameters": {"rope_type": "linear", "factor": 2})";
  for (const Row& row : rows) {
    INFO(row.whole << " with " << row.own);
    const std::string type = *row.own == '\0' ? "" : std::string(R"("model_type": ")") + row.own + "\", ";
    const std::string& fields = std::string(row.as) == "deepseek_v3" ? more : fewer;
    const std::string text = std::string(R"({"model_type": ")") + row.whole + R"(", "text_config": {)" + type +
                             kFields + fields + R"(}, "vision_config": {"model_type": "siglip_vision_model"}})";
    const ModelRopes model = ModelRopes::from_hf_config(text);
    const ModelRopes expected = ModelRopes::from_hf_config(of_type(row.as, fields));
    REQUIRE(model.layers() == expected.layers());
    CHECK(model.specs() == expected.specs());
    for (const std::string& line : model.warnings()) FAIL_CHECK(line);
  }
}

TEST_CASE("a model type that is not known is refused by its name, with the ways on") {
  struct Row {
    std::string config;
    std::vector<const char*> said;
  };
  const std::string inner = of_type("of-next-year");
  std::vector<Row> rows = {
      {"{" + std::string(kFields) + "}", {"model_type: missing"}},
      {R"({"model_type": null, )" + std::string(kFields) + "}", {"model_type: missing"}},
      {R"({"text_config": {)" + std::string(kFields) + "}}", {"model_type: missing"}},
      {R"({"_class_name": "FluxTransformer2DModel", "num_attention_heads": 24, "attention_head_dim": 128,
           "axes_dims_rope": [16, 56, 56]})",
       {"_class_name: found \"FluxTransformer2DModel\"", "diffusers"}},
      {R"({"_class_name": "Lumina2Transformer2DModel", "axes_dim_rope": [32, 32, 32], )" + std::string(kFields) + "}",
       {"_class_name: found", "diffusers"}},
      {R"({"model_type": "llava", "text_config": )" + inner + "}",
       {"text_config.model_type: found \"of-next-year\", which is not known"}},
      {R"({"model_type": "of-next-year", "text_config": )" + of_type("llama") + "}",
       {"model_type: found \"of-next-year\", which is not known"}},
      {of_type("nemotron-nas"), {"nemotron-nas", "block_configs"}},
      {of_type("phi3small"), {"phi3small", "rope_embedding_base"}},
      {of_type("baichuan"), {"baichuan", "ALiBi"}},
      {of_type("step3_text"), {"step3_text", "num_attention_groups"}},
      {of_type("plamo3"), {"plamo3", "two thetas"}},
  };
  for (const char* type : {"of-next-year", "minimax_m1", "phi4flash", "LLAMA", "llama ", "llam", "llama2", "internlm2",
                           "glm5_next_text", "hy_v4_vl_text", "gpt neo", "dbrx"}) {
    rows.push_back({of_type(type), {type, "model_type: found"}});
  }
  for (const char* type :
       {"deberta-v2", "vit",  "clip",    "siglip",  "xlm-roberta", "bert",   "gpt2", "opt",   "bloom", "mpt",
        "t5",         "bart", "whisper", "electra", "albert",      "mamba2", "rwkv", "xlnet", "wavlm", "dinov2"}) {
    rows.push_back({of_type(type), {type, "which has no rotary embedding"}});
  }
  for (const Row& row : rows) {
    INFO(row.config);
    for (const auto& read : {+[](const std::string& text) { ModelRopes::from_hf_config(text); },
                             +[](const std::string& text) { RopeSpec::from_hf_config(text); }}) {
      const auto error = error_of([&] {
        read(row.config);
        return 0;
      });
      REQUIRE(error);
      INFO(error->what());
      for (const char* part : row.said) CHECK(contains(error->what(), part));
      check_ways_on(*error);
    }
  }
}

TEST_CASE("a config is read as the type that was asked for, and a warning says so") {
  struct Row {
    std::string config;
    const char* as;
    std::vector<const char*> said;  // of the one warning; none: there is none
  };
  const Row rows[] = {
      {of_type("of-next-year"), "llama", {"\"of-next-year\", which is not known", "\"llama\""}},
      {"{" + std::string(kFields) + "}", "llama", {"no model type", "\"llama\""}},
      {of_type("of-next-year"), "cohere", {"of-next-year", "\"cohere\""}},
      {of_type("bert"), "llama", {"which has no rotary embedding", "\"llama\""}},
      {of_type("qwen2"), "llama", {"\"qwen2\"", "\"llama\""}},
      {of_type("of-next-year"), "llava", {"of-next-year", "\"llama\""}},
      {R"({"model_type": "of-next-year", "text_config": )" + of_type("of-the-year-after") + "}",
       "llama",
       {"of-next-year", "\"llama\""}},
      {R"({"model_type": "of-next-year", "text_config": )" + of_type("llama") + "}",
       "llama",
       {"of-next-year", "\"llama\""}},
      {of_type("llama"), "llama", {}},
      {R"({"model_type": "llava", "text_config": )" + of_type("llama") + "}", "llama", {}},
  };
  for (const Row& row : rows) {
    INFO(row.config << " as " << row.as);
    const ModelRopes model = ModelRopes::from_hf_config(row.config, as(row.as));
    const std::string known = std::string(row.as) == "llava" ? "llama" : row.as;
    CHECK(model.single() == ModelRopes::from_hf_config(of_type(known)).single());
    REQUIRE(model.warnings().size() == (row.said.empty() ? 0 : 1));
    for (const char* part : row.said) CHECK(contains(model.warnings()[0], part));
  }
}

TEST_CASE("what is asked for must be a known type, and what a config hides stays an error") {
  for (const char* type : {"", "of-next-year", "bert", "Llama", "dbrx"}) {
    INFO(type);
    const auto error = error_of([&] { return ModelRopes::from_hf_config(of_type("llama"), as(type)); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == ErrorCode::invalid_argument);
    CHECK(contains(error->what(), "as: found"));
    CHECK(is_one_line(error->what()));
  }
  const auto flux = error_of([] {
    return ModelRopes::from_hf_config(
        R"({"_class_name": "X", "axes_dims_rope": [16, 56, 56], )" + std::string(kFields) + "}", as("llama"));
  });
  REQUIRE(flux);
  CHECK(contains(flux->what(), "axes_dims_rope"));
}
