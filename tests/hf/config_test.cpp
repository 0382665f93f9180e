#include <string>
#include <vector>

#include "hf/sample_config.hpp"
#include "ropejit/error.hpp"
#include "ropejit/spec.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using ropejit::test::config_with;
using ropejit::test::contains;
using ropejit::test::error_of;
using ropejit::test::from_config;
using ropejit::test::typed;

namespace {

std::string model(const std::string& name) { return ropejit::test::read_test_file("data/models/" + name + ".json"); }

}  // namespace

TEST_CASE("published models' configs become the specs that their code rotates by") {
  struct Row {
    const char* name;
    Layout layout;
    DType dtype;
    std::int64_t q_heads;
    std::int64_t k_heads;
    std::int64_t head_dim;
    std::int64_t rotary_dim;
    double theta;
    Scaling scaling;
  };
  const auto split = Layout::split_half;
  const auto neighbours = Layout::interleaved;
  const Row rows[] = {
      {"llama-3.1-8b", split, DType::bf16, 32, 8, 128, 128, 5e5, Llama3Scaling{8, 1, 4, 8192}},
      {"llama-3.2-1b", split, DType::bf16, 32, 8, 64, 64, 5e5, Llama3Scaling{32, 1, 4, 8192}},
      {"llama-2-7b", split, DType::fp16, 32, 32, 128, 128, 1e4, NoScaling{}},
      {"llama-2-7b-32k", split, DType::fp16, 32, 32, 128, 128, 1e4, LinearScaling{8}},
      {"falcon-7b", split, DType::bf16, 71, 1, 64, 64, 1e4, NoScaling{}},
      {"falcon-180b", split, DType::bf16, 232, 8, 64, 64, 1e4, NoScaling{}},
      {"pythia-2.8b", split, DType::fp16, 32, 32, 80, 20, 1e4, NoScaling{}},
      {"qwen2.5-7b", split, DType::bf16, 28, 4, 128, 128, 1e6, NoScaling{}},
      {"phi-2", split, DType::fp16, 32, 32, 80, 32, 1e4, NoScaling{}},
      {"command-r", neighbours, DType::fp16, 64, 64, 128, 128, 8e6, NoScaling{}},
      {"gpt-j-6b", neighbours, DType::fp32, 16, 16, 256, 64, 1e4, NoScaling{}},
      {"glm-4-9b", neighbours, DType::bf16, 32, 2, 128, 64, 1e4, NoScaling{}},
      {"mistral-small-3.1-24b", split, DType::bf16, 32, 8, 128, 128, 1e9, NoScaling{}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    RopeSpec expected;
    expected.layout = row.layout;
    expected.dtype = row.dtype;
    expected.theta = row.theta;
    expected.rotary_dim = row.rotary_dim;
    expected.q = Operand{row.q_heads, row.head_dim, 0};
    expected.k = Operand{row.k_heads, row.head_dim, 0};
    expected.scaling = row.scaling;
    const RopeSpec spec = RopeSpec::from_hf_config(model(row.name));
    INFO(spec.to_string());
    CHECK(spec == expected);
  }
}

TEST_CASE("a config's many spellings are read") {
  struct Row {
    const char* fields;
    const char* same_as;
  };
  const char* const none = R"("rope_scaling": null)";
  const char* const linear = R"("rope_scaling": {"rope_type": "linear", "factor": 4})";
  const Row rows[] = {
      {R"("rope_theta": 10000)", none},
      {R"("rope_scaling": {"type": "default"})", none},
      {R"("rope_scaling": {"rope_type": "default", "unheard_of": [1, 2]})", none},
      {R"("rope_scaling": {})", none},
      {R"("rope_parameters": {"rope_theta": 10000.0})", none},
      {R"("rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "rope_theta": 1e4)", none},
      {R"("rope_parameters": {"rope_type": "default", "mrope_section": null})", none},
      {R"("head_dim": null)", none},
      {R"("dtype": "bfloat16")", none},
      {R"("torch_dtype": "torch.bfloat16")", none},
      {R"("model_type": "arcee")", none},
      {R"("model_type": "llama", "rope_interleaved": false, "alibi": false)", none},
      {R"("time_step_limit": [0.0, Infinity], "smallest": -Infinity, "nothing": NaN)", none},
      {R"("partial_rotary_factor": 1.0)", none},
      {R"("rope_scaling": {"type": "linear", "factor": 4.0})", linear},
      {R"("rope_scaling": {"rope_type": "linear", "type": "yarn", "factor": 4.0})", linear},
      {R"("rope_parameters": {"rope_type": "linear", "factor": 4.0})", linear},
      {R"("rope_parameters": {"rope_type": "linear", "factor": 4}, "rope_scaling": {"type": "linear", "factor": 4})",
       linear},
      {R"("rotary_emb_base": 500.0)", R"("rope_theta": 500)"},
      {R"("rope_parameters": {"rope_theta": 500})", R"("rope_theta": 500)"},
      {R"("rotary_pct": 0.5)", R"("rotary_dim": 32)"},
      {R"("rope_pct": 0.5)", R"("rotary_dim": 32)"},
      {R"("partial_rotary_factor": 0.5)", R"("rotary_dim": 32)"},
      {R"("partial_rotary_factor": 0.5, "rotary_dim": 32)", R"("rotary_dim": 32)"},
      {R"("rope_parameters": {"partial_rotary_factor": 0.5})", R"("rotary_dim": 32)"},
      {R"("partial_rotary_factor": 0.54)", R"("rope_parameters": {"partial_rotary_factor": 0.546})"},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const RopeSpec spec = from_config(config_with(row.fields));
    const RopeSpec expected = from_config(config_with(row.same_as));
    CHECK(spec == expected);
  }
  CHECK(from_config(config_with(none)).scaling == Scaling{NoScaling{}});
  CHECK(from_config(config_with(linear)).scaling == Scaling{LinearScaling{4}});
}

TEST_CASE("head counts and head dims come from where the family keeps them") {
  struct Row {
    const char* config;
    Operand q;
    Operand k;
  };
  const Row rows[] = {
      {R"({"hidden_size": 1024, "num_attention_heads": 16})", {16, 64, 0}, {16, 64, 0}},
      {R"({"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": null})", {16, 64, 0}, {16, 64, 0}},
      {R"({"hidden_size": 1024, "num_attention_heads": 16, "multi_query": true})", {16, 64, 0}, {1, 64, 0}},
      {R"({"hidden_size": 1000, "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 128})",
       {9, 128, 0},
       {3, 128, 0}},
      {R"({"num_attention_heads": 1, "head_dim": 4096})", {1, 4096, 0}, {1, 4096, 0}},
      {R"({"model_type": "falcon", "hidden_size": 4544, "num_attention_heads": 71})", {71, 64, 0}, {1, 64, 0}},
      {R"({"model_type": "falcon", "hidden_size": 640, "num_attention_heads": 10, "multi_query": false})",
       {10, 64, 0},
       {10, 64, 0}},
      {R"({"model_type": "qwen3", "hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128})",
       {16, 128, 0},
       {8, 128, 0}},
      {R"({"model_type": "llava", "text_config": {"num_attention_heads": 4, "head_dim": 32},
          "vision_config": {"model_type": "siglip_vision_model", "num_attention_heads": 2}})",
       {4, 32, 0},
       {4, 32, 0}},
      {R"({"num_attention_heads": 4, "head_dim": 32, "text_config": {"num_attention_heads": 4}})",
       {4, 32, 0},
       {4, 32, 0}},
  };
  for (const Row& row : rows) {
    INFO(row.config);
    const RopeSpec spec = RopeSpec::from_hf_config(typed(row.config));
    CHECK(spec.q == row.q);
    REQUIRE(spec.k);
    CHECK(*spec.k == row.k);
  }
}

TEST_CASE("the layout follows the model type") {
  for (const char* type :
       {"glm", "glm4", "helium", "cohere", "ernie4_5", "ernie4_5_moe", "gptj", "codegen", "moonshine"}) {
    INFO(type);
    const std::string fields =
        std::string(R"("model_type": ")") + type + R"(", "head_dim": 64, "rope_theta": 10000, "rotary_dim": 32)";
    CHECK(from_config(config_with(fields)).layout == Layout::interleaved);
  }
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "phi3", "gpt_neox",
                           "stablelm", "falcon", "olmo2"}) {
    INFO(type);
    const std::string fields =
        std::string(R"("model_type": ")") + type + R"(", "head_dim": 64, "rope_theta": 10000, "rotary_dim": 32)";
    CHECK(from_config(config_with(fields)).layout == Layout::split_half);
  }
}

TEST_CASE("a rotation that this version cannot build is refused by name rather than guessed") {
  struct Row {
    const char* fields;
    const char* field;
    const char* found;
  };
  const Row rows[] = {
      {R"("model_type": "mistral_large4_text")", "model_type", "mistral_large4_text"},
      {R"("model_type": "kimi_linear")", "model_type", "kimi_linear"},
      {R"("model_type": "cohere_compass_text")", "model_type", "several axes"},
      {R"("model_type": "dinov3_vit")", "model_type", "AngleSource::radians"},
      {R"("model_type": "dots3_note_text")", "model_type", "dots3_note_text"},
      {R"("model_type": "gpt2")", "model_type", "gpt2"},
      {R"("model_type": "jamba")", "model_type", "jamba"},
      {R"("model_type": "qwen2_vl", "rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_interleaved": true})",
       "rope_scaling.mrope_interleaved", "true"},
      {R"("model_type": "qwen3_vl", "rope_theta": 1e6, "head_dim": 64,
          "rope_scaling": {"rope_type": "default", "mrope_interleaved": false})",
       "rope_scaling.mrope_interleaved", "false"},
      {R"("model_type": "longcat_flash", "rope_theta": 1e7, "rope_interleave": false)", "rope_interleave", "false"},
      {R"("qk_rope_head_dim": 64)", "qk_rope_head_dim", "64"},
      {R"("rope_local_base_freq": 10000.0)", "rope_local_base_freq", "10000"},
      {R"("layer_rope_theta": [1, 2])", "layer_rope_theta", "an array"},
      {R"("alibi": true)", "alibi", "true"},
      {R"("rope_interleave": true)", "rope_interleave", "true"},
      {R"("position_embedding_type": "absolute")", "position_embedding_type", "absolute"},
      {R"("rope_scaling": {"type": "default", "mrope_section": [16, 24, 24]})", "rope_scaling.mrope_section",
       "an array"},
      {R"("rope_scaling": {"rope_type": "default", "mrope_interleaved": true})", "rope_scaling.mrope_interleaved",
       "true"},
      {R"("rope_scaling": {"type": "mrope"})", "rope_scaling.type", "mrope"},
      {R"("rope_scaling": {"rope_type": "telechat3-yarn", "factor": 4})", "rope_scaling.rope_type", "telechat3-yarn"},
      {R"("rope_scaling": {"type": "dynamic", "factor": 4, "alpha": 1000}, "max_position_embeddings": 4096)",
       "rope_scaling.alpha", "1000"},
      {R"("rope_parameters": {"rope_type": "axial"})", "rope_parameters.rope_type", "axial"},
      {R"("rope_parameters": {"full_attention": {"rope_type": "default"}, "sliding_attention": {}})",
       "rope_parameters.full_attention", "one kind of layer"},
      {R"("torch_dtype": "float8_e4m3fn")", "torch_dtype", "float8_e4m3fn"},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const auto error = error_of([&] { return from_config(config_with(row.fields)); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == ErrorCode::unsupported);
    CHECK(contains(error->what(), row.field));
    CHECK(contains(error->what(), row.found));
    CHECK(ropejit::test::is_one_line(error->what()));
  }
  const auto nested = error_of([] {
    return RopeSpec::from_hf_config(
        R"({"model_type": "llava", "text_config": {"model_type": "inkling_text", "num_attention_heads": 4}})");
  });
  REQUIRE(nested);
  CHECK(contains(nested->what(), "text_config.model_type"));
}

TEST_CASE("where a family's class has a default of its own, a config without the value is refused") {
  struct Row {
    const char* model_type;
    const char* field;
  };
  const Row rows[] = {
      {"cohere", "rope_theta"},
      {"smollm3", "num_hidden_layers"},
      {"muse_glimmer_text", "num_hidden_layers"},
      {"mixtral", "rope_theta"},
      {"phi", "partial_rotary_factor"},
      {"stablelm", "partial_rotary_factor"},
      {"gpt_neox", "partial_rotary_factor"},
      {"gptj", "rotary_dim"},
      {"gemma", "head_dim"},
      {"qwen3", "head_dim"},
  };
  for (const Row& row : rows) {
    INFO(row.model_type);
    const std::string fields = std::string(R"("model_type": ")") + row.model_type + "\"";
    const auto error = error_of([&] { return from_config(config_with(fields)); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == ErrorCode::parse_error);
    CHECK(contains(error->what(), std::string(row.field) + ": missing"));
  }
}
