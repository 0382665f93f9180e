// What is wrong with a model's config is told in one line that names the field.
#include <string>

#include "ropejit/spec.hpp"
#include "spec/bad_input.hpp"

using namespace ropejit;
using namespace ropejit::test;

TEST_CASE("a bad config names its field") {
  const auto with = [](const char* from, const char* to) { return replaced(kGoodConfig, from, to); };
  const BadText rows[] = {
      {"{}", "model_type", kParse},
      {R"({"model_type": "llama"})", "num_attention_heads", kParse},
      {R"({"model_type": "llama", "num_attention_heads": 8})", "hidden_size", kParse},
      {R"({"model_type": "llama", "num_attention_heads": 8, "hidden_size": 0})", "hidden_size", kRange},
      {R"({"model_type": "llama", "num_attention_heads": 8, "hidden_size": 1001})", "hidden_size", kRange},
      {R"({"model_type": "llama", "num_attention_heads": 8, "hidden_size": 1e300})", "hidden_size", kRange},
      {R"({"model_type": "llama", "num_attention_heads": 8, "hidden_size": 8})", "head_dim", kRange},
      {R"({"model_type": "llama", "num_attention_heads": 8, "hidden_size": 1000})", "head_dim", kRange},
      {R"({"model_type": "llama", "num_attention_heads": 1, "hidden_size": 8192})", "head_dim", kRange},
      {R"({"model_type": "llava", "text_config": {"hidden_size": 64}})", "num_attention_heads", kParse},
      {R"({"model_type": "llava", "text_config": 3})", "text_config", kParse},
      {R"({"model_type": "llava", "text_config": {"num_attention_heads": -1}})", "text_config.num_attention_heads",
       kRange},
      {with(R"("num_attention_heads": 32, )", ""), "num_attention_heads", kParse},
      {with(R"("num_attention_heads": 32)", R"("num_attention_heads": null)"), "num_attention_heads", kParse},
      {with(R"("num_attention_heads": 32)", R"("num_attention_heads": 0)"), "num_attention_heads", kRange},
      {with(R"("num_attention_heads": 32)", R"("num_attention_heads": -32)"), "num_attention_heads", kRange},
      {with(R"("num_attention_heads": 32)", R"("num_attention_heads": 1000000000000)"), "num_attention_heads", kRange},
      {with(R"("num_attention_heads": 32)", R"("num_attention_heads": 32.5)"), "num_attention_heads", kRange},
      {with(R"("num_attention_heads": 32)", R"("num_attention_heads": "32")"), "num_attention_heads", kParse},
      {with(R"("num_attention_heads": 32)", R"("num_attention_heads": [32, 16])"), "num_attention_heads", kParse},
      {with(R"("num_attention_heads": 32)", R"("num_attention_heads": true)"), "num_attention_heads", kParse},
      {with(R"("num_key_value_heads": 8)", R"("num_key_value_heads": 0)"), "num_key_value_heads", kRange},
      {with(R"("num_key_value_heads": 8)", R"("num_key_value_heads": 1e12)"), "num_key_value_heads", kRange},
      {with(R"("head_dim": 128)", R"("head_dim": 0)"), "head_dim", kRange},
      {with(R"("head_dim": 128)", R"("head_dim": 127)"), "head_dim", kRange},
      {with(R"("head_dim": 128)", R"("head_dim": -128)"), "head_dim", kRange},
      {with("500000.0", "0"), "rope_theta", kRange},
      {with("500000.0", "-1"), "rope_theta", kRange},
      {with("500000.0", "1e400"), "rope_theta", kRange},
      {with("500000.0", "NaN"), "rope_theta", kParse},
      {with("500000.0", "Infinity"), "rope_theta", kParse},
      {with("500000.0", R"("500000")"), "rope_theta", kParse},
      {with(R"("rope_theta")", R"("rotary_emb_base": 5, "rope_theta")"), "rotary_emb_base", kRange},
      {with(R"("factor": 8.0)", R"("factor": 8.0, "rope_theta": 7)"), "rope_theta", kRange},
      {with(R"("rope_scaling")", R"("rope_parameters": {"rope_type": "default"}, "rope_scaling")"), "rope_scaling",
       kRange},
      {with(R"("partial_rotary_factor": 1.0)", R"("partial_rotary_factor": 2)"), "partial_rotary_factor", kRange},
      {with(R"("partial_rotary_factor": 1.0)", R"("partial_rotary_factor": -0.5)"), "partial_rotary_factor", kRange},
      {with(R"("partial_rotary_factor": 1.0)", R"("rotary_pct": 0.001)"), "rotary_pct", kRange},
      {with(R"("partial_rotary_factor": 1.0)", R"("rotary_dim": 256)"), "rotary_dim", kRange},
      {with(R"("partial_rotary_factor": 1.0)", R"("rotary_dim": 31)"), "rotary_dim", kRange},
      {with(R"("partial_rotary_factor": 1.0)", R"("partial_rotary_factor": 1.0, "rotary_dim": 64)"), "rotary_dim",
       kRange},
      {with(R"("partial_rotary_factor": 1.0)", R"("partial_rotary_factor": 1.0, "rotary_pct": 0.5)"), "rotary_pct",
       kRange},
      {with("bfloat16", "int8"), "torch_dtype", kUnsupported},
      {with(R"("bfloat16")", "16"), "torch_dtype", kParse},
      {with("llama3", "unheard-of"), "rope_scaling.rope_type", kUnsupported},
      {with(R"("llama3")", "3"), "rope_scaling.rope_type", kParse},
      {with(R"("rope_type": "llama3", )", ""), "rope_scaling.rope_type", kParse},
      {with(R"("factor": 8.0, )", ""), "rope_scaling.factor", kParse},
      {with("8.0", "0"), "rope_scaling.factor", kRange},
      {with("8.0", "Infinity"), "rope_scaling.factor", kParse},
      {with(R"("low_freq_factor": 1.0, )", ""), "rope_scaling.low_freq_factor", kParse},
      {with(R"("high_freq_factor": 4.0, )", ""), "rope_scaling.high_freq_factor", kParse},
      {with(R"(, "original_max_position_embeddings": 8192)", ""), "rope_scaling.original_max_position_embeddings",
       kParse},
      {with("1.0, \"high", "9.0, \"high"), "rope_scaling.low_freq_factor", kRange},
      {R"({"model_type": "llama", "num_attention_heads": 8, "head_dim": 64, "rope_scaling": {"type": "linear"}})",
       "rope_scaling.factor", kParse},
      {R"({"model_type": "llama", "num_attention_heads": 8, "head_dim": 64, "rope_scaling": "linear"})", "rope_scaling",
       kParse},
      {R"({"model_type": "llama", "num_attention_heads": 8, "head_dim": 64, "rope_scaling": {"factor": 2}})",
       "rope_scaling.rope_type", kParse},
      {R"({"model_type": "llama", "num_attention_heads": 8, "head_dim": 64, "model_type": 5})", "model_type", kParse},
  };
  for (const BadText& row : rows) check_refused(row, from_config);
}

TEST_CASE("a quarter of 100 lanes is told in full") {
  const auto error = error_of([] {
    return RopeSpec::from_hf_config(
        R"({"model_type": "llama", "num_attention_heads": 8, "head_dim": 100, "partial_rotary_factor": 0.25})");
  });
  REQUIRE(error);
  CHECK(std::string(error->what()) ==
        "partial_rotary_factor: found 0.25 of head_dim 100, which gives rotary_dim 25, allowed: an even number from 2 "
        "to 100");
}
