#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "hf/sample_config.hpp"
#include "ropejit/error.hpp"
#include "ropejit/spec.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using ropejit::test::config_with;
using ropejit::test::contains;
using ropejit::test::error_of;
using ropejit::test::from_config;

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
    const RopeSpec spec = from_config(config_with(row.fields));
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
    const auto error = error_of([&] { return from_config(config_with(row.fields)); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == row.code);
    CHECK(contains(error->what(), std::string(row.field) + ":"));
    CHECK(ropejit::test::is_one_line(error->what()));
  }
}

TEST_CASE("an unknown scaling type is told which types there are") {
  const auto error =
      error_of([] { return from_config(config_with(R"("rope_scaling": {"rope_type": "ntk-by-parts"})")); });
  REQUIRE(error);
  CHECK(std::string(error->what()) ==
        R"(rope_scaling.rope_type: found "ntk-by-parts", allowed: default, linear, llama3, dynamic, ntk, yarn, )"
        "longrope, proportional, deepseek_yarn, inv_freq");
}
