// Keys of a config.json that nothing reads: warned of, or refused where they hide another function.
#include <filesystem>
#include <string>
#include <vector>

#include "hf/sample_config.hpp"
#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using ropejit::test::contains;
using ropejit::test::error_of;
using ropejit::test::is_one_line;
using ropejit::test::typed;

namespace {

// A model of 16 heads of 64 lanes, 4 of k.
std::string model(const std::string& fields) {
  return typed(
      R"({"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 4, "num_hidden_layers": 2, )" +
      fields + "}");
}

std::vector<std::string> warnings_of(const std::string& text, std::int64_t tp = 1) {
  ModelOptions options;
  options.tp = tp;
  return ModelRopes::from_hf_config(text, options).warnings();
}

}  // namespace

TEST_CASE("a key that speaks of the rotation or of heads and that nothing reads is warned of") {
  struct Row {
    const char* fields;
    const char* key;
  };
  const Row rows[] = {
      {R"("rope_base": 1000000)", "rope_base: found 1000000"},
      {R"("rotary_base": 1e6)", "rotary_base"},
      {R"("theta": 1e6)", "theta"},
      {R"("rope_embedding_base": 1e6)", "rope_embedding_base"},
      {R"("num_kv_heads": 8)", "num_kv_heads: found 8"},
      {R"("n_head_kv": 16)", "n_head_kv"},
      {R"("multi_query_heads": 2)", "multi_query_heads"},
      {R"("num_query_groups": 2)", "num_query_groups"},
      {R"("num_attention_groups": 1)", "num_attention_groups"},
      {R"("kv_channels": 128)", "kv_channels"},
      {R"("attention_head_dim": 128)", "attention_head_dim"},
      {R"("head_size": 32)", "head_size"},
      {R"("n_heads": 32)", "n_heads"},
      {R"("rotary_ndims": 32)", "rotary_ndims"},
      {R"("rope_percent": 0.5)", "rope_percent"},
      {R"("rotary_scaling_factor": 2)", "rotary_scaling_factor"},
      {R"("rope_scaling_factor": 8)", "rope_scaling_factor"},
      {R"("yarn_beta": 32)", "yarn_beta"},
      {R"("mscale": 0.7)", "mscale"},
      {R"("ROPE_Type": "yarn")", "ROPE_Type: found \"yarn\""},
      {R"("relative_position_embeddings": "t5")", "relative_position_embeddings"},
      {R"("longrope_config": {"factor": 2})", "longrope_config: found an object"},
      {R"("rope": {"theta": 5})", "rope: found an object"},
      {R"("model_type": "hunyuan_v1_dense", "head_dim": 80, "attention_head_dim": 128)",
       "attention_head_dim: found 128"},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const std::vector<std::string> lines = warnings_of(model(row.fields));
    REQUIRE(lines.size() == 1);
    INFO(lines[0]);
    CHECK(contains(lines[0], row.key));
    CHECK(contains(lines[0], "nothing reads"));
    CHECK(is_one_line(lines[0]));
    const auto error = error_of([&] { return RopeSpec::from_hf_config(model(row.fields)); });
    REQUIRE(error);  // without a place for warnings
    CHECK(contains(error->what(), row.key));
    std::vector<std::string> place{"of before"};
    CHECK_NOTHROW(RopeSpec::from_hf_config(model(row.fields), &place));
    CHECK(place == lines);
  }
}

TEST_CASE("several keys are told in order, and those of an outer config with the inner one's path kept apart") {
  const std::vector<std::string> lines = warnings_of(R"({"model_type": "llava", "rope_scaling": {"type": "linear",
      "factor": 2}, "rope_theta": 5e5, "num_key_value_heads": 1, "text_config": {"model_type": "llama", "rope_theta": 1e4,
      "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "rope_base": 7,
      "n_kv_heads": 3}})");
  REQUIRE(lines.size() == 5);
  CHECK(contains(lines[0], "num_key_value_heads: found 1"));
  CHECK(contains(lines[1], "rope_scaling: found an object"));
  CHECK(contains(lines[2], "rope_theta: found 500000"));
  CHECK(contains(lines[3], "text_config.n_kv_heads: found 3"));
  CHECK(contains(lines[4], "text_config.rope_base: found 7"));
}

TEST_CASE("keys of released configs that say nothing of the rotation, or what is so anyway, are no warning") {
  const char* const rows[] = {
      R"("max_position_embeddings": 4096, "original_max_position_embeddings": 2048, "pruned_heads": {})",
      R"("rope_base": null, "use_alibi": false, "alibi": false, "rope_thetas": [], "nope_layers": null, "theta": false)",
      R"("rope_theta": 5e5, "rope_base": 500000, "theta": 5e5, "num_kv_heads": 4, "n_heads": 16, "kv_channels": 64)",
      R"("rotary_pct": 0.5, "rope_percent": 0.5, "rotary_ndims": 32, "rotary_scaling_factor": 1)",
      R"("mamba_n_heads": 3, "linear_num_key_heads": 5, "num_mtp_heads": 2, "encoder_attention_heads": 3)",
      R"("tie_properties": 1, "european": "rope in no word", "rope_is_neox_style": true, "use_rope": true)",
      R"("model_type": "gptj", "rotary": true, "rotary_dim": 32)",
      R"("model_type": "cohere2", "position_embedding_type": "rope_gptj", "rotary_pct": 1.0)",
      R"("model_type": "modernbert", "position_embedding_type": "absolute")",
      R"("model_type": "nomic_bert", "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": false,
         "rotary_emb_scale_base": null, "rotary_scaling_factor": null)",
      R"("model_type": "paddleocr_vl_text", "head_dim": 64, "rope_theta": 5e5, "use_3d_rope": true,
         "rope_is_neox_style": true, "rope_scaling": {"type": "default", "mrope_section": [8, 12, 12]})",
      R"("model_type": "qwen3_next", "layer_types": ["linear_attention", "full_attention"], "head_dim": 64, "partial_rotary_factor": 0.25, "linear_key_head_dim": 128,
         "linear_num_key_heads": 5, "linear_num_value_heads": 7, "linear_value_head_dim": 128)",
      R"("model_type": "deepseek_v3", "v_head_dim": 128, "qk_nope_head_dim": 32,
         "qk_rope_head_dim": 16, "kv_lora_rank": 64, "head_dim": 48)",
      R"("model_type": "zamba2", "use_mem_rope": true, "attention_head_dim": 160, "kv_channels": 64, "n_mamba_heads": 8,
         "layer_types": ["mamba", "full_attention"])",
      R"("model_type": "moonshine", "partial_rotary_factor": 0.5, "encoder_num_attention_heads": 3,
         "pad_head_dim_to_multiple_of": 8)",
      R"("model_type": "smollm3", "rope_theta": 2e6, "no_rope_layers": [1, 0], "no_rope_layer_interval": 4)",
  };
  for (const char* fields : rows) {
    INFO(fields);
    for (const std::string& line : warnings_of(model(fields))) FAIL_CHECK(line);
  }
  for (const std::int64_t tp : {2, 4, 8}) {
    CHECK(warnings_of(model(R"("num_kv_heads": 4, "n_heads": 16)"), tp).empty());
    CHECK(warnings_of(model(R"("num_kv_heads": 2)"), tp).size() == 1);
  }
}

TEST_CASE("the released configs among the tests' data warn of nothing") {
  std::size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(ropejit::test::test_data_dir() + "/data/models")) {
    INFO(file.path().string());
    ++files;
    const std::string text = ropejit::test::read_test_file("data/models/" + file.path().filename().string());
    // Not all of them say how many layers they have.
    if (contains(text, "\"num_hidden_layers\"")) {
      for (const std::string& line : warnings_of(text)) FAIL_CHECK(line);
    } else {
      CHECK_NOTHROW(RopeSpec::from_hf_config(text));
    }
  }
  CHECK(files >= 16);
}

TEST_CASE("a key behind which another function stands is refused") {
  struct Row {
    const char* fields;
    const char* key;
  };
  const Row rows[] = {
      {R"("fope_init_factor": 0.5)", "fope_init_factor: found 0.5"},
      {R"("fope": true)", "fope"},
      {R"("alibi": true)", "alibi: found true"},
      {R"("use_alibi": true)", "use_alibi"},
      {R"("position_embedding_type": "alibi")", "position_embedding_type"},
      {R"("use_xpos": true)", "use_xpos"},
      {R"("rotary_emb_scale_base": 512)", "rotary_emb_scale_base"},
      {R"("rope_thetas": [1e4, 1e6])", "rope_thetas"},
      {R"("partial_rotary_factors": [0.5, 1.0])", "partial_rotary_factors"},
      {R"("yarn_only_types": ["full_attention"])", "yarn_only_types"},
      {R"("axes_dim_rope": [16, 56, 56])", "axes_dim_rope"},
      {R"("axes_dims_rope": [16, 56, 56])", "axes_dims_rope"},
      {R"("nope_layer_interval": 4)", "nope_layer_interval"},
      {R"("nope_layers": [3])", "nope_layers"},
      {R"("no_rope_layer_interval": 4)", "no_rope_layer_interval"},
      {R"("use_nope": true)", "use_nope"},
      {R"("use_rope": false)", "use_rope: found false"},
      {R"("rotary": false)", "rotary: found false"},
      {R"("use_rotary_embeddings": false)", "use_rotary_embeddings"},
      {R"("rotary_emb_interleaved": true)", "rotary_emb_interleaved"},
      {R"("rope_is_neox_style": false)", "rope_is_neox_style"},
      {R"("model_type": "glm4", "head_dim": 64, "partial_rotary_factor": 0.5, "is_neox_style": true)", "is_neox_style"},
      {R"("model_type": "llava", "use_alibi": true)", "use_alibi"},
      {R"("model_type": "esm")", "position_embedding_type: missing"},
      {R"("model_type": "esm", "position_embedding_type": "absolute")", "position_embedding_type: found \"absolute\""},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const auto error = error_of([&] { return ModelRopes::from_hf_config(model(row.fields)); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(contains(error->what(), row.key));
    CHECK(is_one_line(error->what()));
  }
}

TEST_CASE("second names of a size are read where the family is known to have them") {
  const auto spec = [](const std::string& fields) { return ModelRopes::from_hf_config(model(fields)).specs().front(); };
  CHECK(spec(R"("model_type": "hunyuan_v1_dense", "attention_head_dim": 128)").q.head_dim == 128);
  CHECK(spec(R"("model_type": "hunyuan_v1_moe", "attention_head_dim": 96)").k->head_dim == 96);
  CHECK(spec(R"("model_type": "jetmoe", "kv_channels": 128)").q.head_dim == 128);
  CHECK(spec(R"("model_type": "bamba", "attn_rotary_emb": 32, "attn_layer_indices": [0])").rotary_dim == 32);
  CHECK(spec(R"("model_type": "esm", "position_embedding_type": "rotary")").rotary_dim == 64);
}
