#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "ropejit/error.hpp"
#include "ropejit/spec.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using ropejit::test::contains;
using ropejit::test::error_of;

namespace {

std::string model(const std::string& name) { return ropejit::test::read_test_file("data/models/" + name + ".json"); }

// A Llama's config with `fields` added.
std::string config_with(const std::string& fields) {
  return R"({"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 4)" +
         (fields.empty() ? "" : ", " + fields) + "}";
}

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
      {R"("model_type": "a-model-of-next-year")", none},
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
    const RopeSpec spec = RopeSpec::from_hf_config(config_with(row.fields));
    const RopeSpec expected = RopeSpec::from_hf_config(config_with(row.same_as));
    CHECK(spec == expected);
  }
  CHECK(RopeSpec::from_hf_config(config_with(none)).scaling == Scaling{NoScaling{}});
  CHECK(RopeSpec::from_hf_config(config_with(linear)).scaling == Scaling{LinearScaling{4}});
}

TEST_CASE("rope dictionaries become rules as transformers reads them, defaults and quirks included") {
  struct Row {
    const char* what;
    const char* fields;
    Scaling scaling;
  };
  const auto yarn = [](double factor, std::int64_t original, double mscale = 0, double all_dim = 0) {
    YarnScaling rule{factor, original};
    rule.mscale = mscale;
    rule.mscale_all_dim = all_dim;
    return rule;
  };
  YarnScaling gpt_oss = yarn(32, 4096);
  gpt_oss.truncate = false;
  YarnScaling explicit_factor = yarn(40, 4096, 1, 1);
  explicit_factor.attention_factor = 1.25;
  YarnScaling betas = yarn(4, 4096);
  betas.beta_fast = 16;
  betas.beta_slow = 2;
  YarnScaling minicpm3 = yarn(40, 4096, 0, 1);
  minicpm3.scale_softmax = true;
  const std::vector<double> shorts(32, 1.0);
  const std::vector<double> longs(32, 2.0);
  const std::string one = "[1" + [] {
    std::string rest;
    for (int i = 1; i < 32; ++i) rest += ",1";
    return rest + "]";
  }();
  std::string two = one;
  std::replace(two.begin(), two.end(), '1', '2');
  const std::string lists = R"("short_factor": )" + one + R"(, "long_factor": )" + two;
  const std::string su = R"("max_position_embeddings": 131072, "original_max_position_embeddings": 4096, )"
                         R"("rope_scaling": {"type": "su", )" +
                         lists + "}";
  const std::string phi3_yarn = R"("model_type": "phi3", "max_position_embeddings": 131072, )"
                                R"("rope_scaling": {"type": "yarn", )" +
                                lists + "}";
  const std::string both_lengths = R"("max_position_embeddings": 131072, "original_max_position_embeddings": 4096, )"
                                   R"("rope_scaling": {"rope_type": "longrope", "factor": 8, )"
                                   R"("original_max_position_embeddings": 2048, )" +
                                   lists + "}";
  const std::string phimoe =
      R"("model_type": "phimoe", "rope_theta": 10000, "max_position_embeddings": 131072, "rope_scaling": )"
      R"({"type": "longrope", "original_max_position_embeddings": 4096, )"
      R"("short_mscale": 1.25, "long_mscale": 1.5, )" +
      lists + "}";
  const std::string no_phimoe = R"("max_position_embeddings": 131072, "rope_scaling": )"
                                R"({"type": "longrope", "original_max_position_embeddings": 4096, )"
                                R"("short_mscale": 1.25, "long_mscale": 1.5, "attention_factor": 1.75, )" +
                                lists + "}";
  const LongRopeScaling phi3{shorts, longs, 4096, 32.0, std::nullopt, std::nullopt, std::nullopt};
  const LongRopeScaling by_8{shorts, longs, 4096, 8.0, std::nullopt, std::nullopt, std::nullopt};
  const LongRopeScaling mscales{shorts, longs, 4096, std::nullopt, std::nullopt, 1.25, 1.5};
  const LongRopeScaling given{shorts, longs, 4096, std::nullopt, 1.75, std::nullopt, std::nullopt};
  const Row rows[] = {
      {"dynamic takes M from the config, not the length before it",
       R"("max_position_embeddings": 8192, "rope_scaling": {"type": "dynamic", "factor": 2,
          "original_max_position_embeddings": 2048})",
       DynamicScaling{2, 8192}},
      {"Hunyuan's dynamic with an alpha",
       R"("model_type": "hunyuan_v1_dense", "rope_scaling": {"type": "dynamic", "factor": 1, "alpha": 1000})",
       NtkScaling{1000}},
      {"Hunyuan's dynamic without one",
       R"("model_type": "hunyuan_v1_dense", "max_position_embeddings": 4096,
          "rope_scaling": {"type": "dynamic", "factor": 2, "alpha": 0})",
       DynamicScaling{2, 4096}},
      {"gpt-oss",
       R"("rope_scaling": {"rope_type": "yarn", "factor": 32, "beta_fast": 32, "beta_slow": 1, "truncate": false,
          "original_max_position_embeddings": 4096})",
       gpt_oss},
      {"a yarn factor that is absent is M / L",
       R"("max_position_embeddings": 131072, "rope_scaling": {"rope_type": "yarn", "factor": null,
          "original_max_position_embeddings": 32768})",
       yarn(4, 32768)},
      {"a yarn factor that is given wins over M / L",
       R"("max_position_embeddings": 40960, "rope_scaling": {"type": "yarn", "factor": 4,
          "original_max_position_embeddings": 32768})",
       yarn(4, 32768)},
      {"an original length that is absent is M",
       R"("max_position_embeddings": 40960, "rope_scaling": {"type": "yarn", "factor": 4})", yarn(4, 40960)},
      {"the config's own original length wins",
       R"("original_max_position_embeddings": 4096, "rope_scaling": {"type": "yarn", "factor": 4,
          "original_max_position_embeddings": 2048})",
       yarn(4, 4096)},
      {"betas of 0 and null are the default",
       R"("rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "beta_fast": 0,
          "beta_slow": null})",
       yarn(4, 4096)},
      {"betas",
       R"("rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "beta_fast": 16,
          "beta_slow": 2})",
       betas},
      {"mscale alone is kept, and not used",
       R"("rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "mscale": 0.5})",
       yarn(4, 4096, 0.5)},
      {"an explicit attention factor",
       R"("rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "mscale": 1.0,
          "mscale_all_dim": 1.0, "attention_factor": 1.25})",
       explicit_factor},
      {"softmax is scaled by the models whose code does it",
       R"("model_type": "minicpm3", "qk_nope_head_dim": 64, "qk_rope_head_dim": 64, "kv_lora_rank": 256,
          "rope_scaling": {"type": "yarn", "factor": 40, "mscale_all_dim": 1,
          "original_max_position_embeddings": 4096})",
       minicpm3},
      {"vLLM's options are none of transformers'",
       R"("rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "attn_factor": 2,
          "extrapolation_factor": 0.5, "apply_yarn_scaling": false})",
       yarn(4, 4096)},
      {"su, its factor M / L", su.c_str(), phi3},
      {"Phi-3 says yarn and means longrope over 4096", phi3_yarn.c_str(), phi3},
      {"the config's original length before the dictionary's", both_lengths.c_str(), by_8},
      {"PhiMoE's scales", phimoe.c_str(), mscales},
      {"which no other model has", no_phimoe.c_str(), given},
      {"llama3 without an original length takes M",
       R"("max_position_embeddings": 8192, "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1,
          "high_freq_factor": 4})",
       Llama3Scaling{8, 1, 4, 8192}},
      {"proportional keeps its fraction to itself",
       R"("rope_parameters": {"rope_type": "proportional", "partial_rotary_factor": 0.25})",
       ProportionalScaling{1, 0.25}},
      {"and takes the config's",
       R"("partial_rotary_factor": 0.25, "rope_parameters": {"rope_type": "proportional", "factor": 8})",
       ProportionalScaling{8, 0.25}},
      {"vLLM's deepseek_yarn",
       R"("rope_scaling": {"rope_type": "deepseek_yarn", "factor": 40, "original_max_position_embeddings": 4096})",
       DeepseekYarnScaling{40, 4096}},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const RopeSpec spec = RopeSpec::from_hf_config(config_with(row.fields));
    INFO(spec.to_string());
    CHECK(spec.scaling == row.scaling);
    CHECK(spec.rotary_dim == 64);
    CHECK_FALSE(spec.max_length);
  }
}

TEST_CASE("what a rope dictionary lacks or has out of range is named") {
  struct Row {
    const char* fields;
    const char* field;
    ErrorCode code;
  };
  const Row rows[] = {
      {R"("rope_scaling": {"type": "dynamic", "factor": 2})", "max_position_embeddings", ErrorCode::parse_error},
      {R"("rope_scaling": {"type": "dynamic"}, "max_position_embeddings": 2048)", "rope_scaling.factor",
       ErrorCode::parse_error},
      {R"("rope_scaling": {"type": "yarn", "factor": 4})", "rope_scaling.original_max_position_embeddings",
       ErrorCode::parse_error},
      {R"("rope_scaling": {"type": "yarn", "original_max_position_embeddings": 4096})", "rope_scaling.factor",
       ErrorCode::parse_error},
      {R"("rope_scaling": {"type": "yarn", "factor": 0, "original_max_position_embeddings": 4096})",
       "rope_scaling.factor", ErrorCode::invalid_argument},
      {R"("rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "beta_fast": -1})",
       "rope_scaling.beta_fast", ErrorCode::invalid_argument},
      {R"("rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 0})",
       "rope_scaling.original_max_position_embeddings", ErrorCode::invalid_argument},
      {R"("rope_parameters": {"rope_type": "longrope"})", "rope_parameters.short_factor", ErrorCode::parse_error},
      {R"("max_position_embeddings": 9, "rope_parameters": {"rope_type": "longrope", "short_factor": [1],
          "long_factor": [1]})",
       "rope_scaling.short_factor", ErrorCode::invalid_argument},
      {R"("model_type": "hunyuan_v1_dense", "rope_scaling": {"type": "dynamic", "alpha": -1})", "rope_scaling.alpha",
       ErrorCode::invalid_argument},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const auto error = error_of([&] { return RopeSpec::from_hf_config(config_with(row.fields)); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == row.code);
    CHECK(contains(error->what(), std::string(row.field) + ":"));
    CHECK(ropejit::test::is_one_line(error->what()));
  }
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
      {R"({"model_type": "qwen3", "hidden_size": 1024, "num_attention_heads": 16, "head_dim": 128})",
       {16, 128, 0},
       {16, 128, 0}},
      {R"({"text_config": {"num_attention_heads": 4, "head_dim": 32}, "vision_config": {"num_attention_heads": 2}})",
       {4, 32, 0},
       {4, 32, 0}},
      {R"({"num_attention_heads": 4, "head_dim": 32, "text_config": {"num_attention_heads": 8}})",
       {4, 32, 0},
       {4, 32, 0}},
  };
  for (const Row& row : rows) {
    INFO(row.config);
    const RopeSpec spec = RopeSpec::from_hf_config(row.config);
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
    CHECK(RopeSpec::from_hf_config(config_with(fields)).layout == Layout::interleaved);
  }
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "phi3", "gpt_neox",
                           "stablelm", "falcon", "olmo2"}) {
    INFO(type);
    const std::string fields =
        std::string(R"("model_type": ")") + type + R"(", "head_dim": 64, "rope_theta": 10000, "rotary_dim": 32)";
    CHECK(RopeSpec::from_hf_config(config_with(fields)).layout == Layout::split_half);
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
      {R"("model_type": "mimo_v2_flash")", "model_type", "mimo_v2_flash"},
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
    const auto error = error_of([&] { return RopeSpec::from_hf_config(config_with(row.fields)); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == ErrorCode::unsupported);
    CHECK(contains(error->what(), row.field));
    CHECK(contains(error->what(), row.found));
    CHECK(ropejit::test::is_one_line(error->what()));
  }
  const auto nested = error_of([] {
    return RopeSpec::from_hf_config(
        R"({"model_type": "x", "text_config": {"model_type": "muse_spark_text", "num_attention_heads": 4}})");
  });
  REQUIRE(nested);
  CHECK(contains(nested->what(), "text_config.model_type"));
}

TEST_CASE("an unknown scaling type is told which types there are") {
  const auto error = error_of(
      [] { return RopeSpec::from_hf_config(config_with(R"("rope_scaling": {"rope_type": "ntk-by-parts"})")); });
  REQUIRE(error);
  CHECK(std::string(error->what()) ==
        R"(rope_scaling.rope_type: found "ntk-by-parts", allowed: default, linear, llama3, dynamic, ntk, yarn, )"
        "longrope, proportional, deepseek_yarn, inv_freq");
}

TEST_CASE("where a family's class has a default of its own, a config without the value is refused") {
  struct Row {
    const char* model_type;
    const char* field;
  };
  const Row rows[] = {
      {"cohere", "rope_theta"},
      {"smollm3", "num_hidden_layers"},
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
    const auto error = error_of([&] { return RopeSpec::from_hf_config(config_with(fields)); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == ErrorCode::parse_error);
    CHECK(contains(error->what(), std::string(row.field) + ": missing"));
  }
}
