// Indexers, vision towers, positions on several axes, parity and warnings of whole models.
#include <optional>
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
using ropejit::test::typed;

namespace {

ModelRopes file(const std::string& name, const ModelOptions& options = {}) {
  return ModelRopes::from_hf_config(ropejit::test::read_test_file("data/models/" + name + ".json"), options);
}

ModelRopes model_with(const std::string& fields, const ModelOptions& options = {}) {
  return ModelRopes::from_hf_config(
      typed(R"({"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 4, "num_hidden_layers": 4, )" +
            fields + "}"),
      options);
}

const std::string kLatent = R"("qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "kv_lora_rank": 64)";

// The layers with an indexer.
std::vector<std::int64_t> indexed(const ModelRopes& model) {
  std::vector<std::int64_t> layers;
  for (std::int64_t layer = 0; layer < model.layers(RopeRole::indexer); ++layer) {
    if (model.find(layer, RopeRole::indexer) != nullptr) layers.push_back(layer);
  }
  return layers;
}

}  // namespace

TEST_CASE("DeepSeek-V3.2 de-interleaves in its attention, and its indexer turns halves of its own heads' first lanes") {
  ModelOptions options;
  options.tp = 8;
  const ModelRopes model = file("deepseek-v3.2", options);
  REQUIRE(model.layers() == 61);
  const RopeSpec& main = *model.find(60);
  CHECK(main.layout == Layout::interleaved);
  CHECK(main.layout_out == Layout::split_half);
  CHECK(main.q == Operand{16, 192, 128});
  CHECK(*main.k == Operand{1, 576, 512});
  CHECK(std::get<YarnScaling>(main.scaling).scale_softmax);
  REQUIRE(model.layers(RopeRole::indexer) == 61);
  const RopeSpec& indexer = *model.find(60, RopeRole::indexer);
  CHECK(indexer.layout == Layout::split_half);
  CHECK_FALSE(indexer.layout_out.has_value());
  CHECK(indexer.rotary_dim == 64);
  CHECK(indexer.q == Operand{64, 128, 0});
  CHECK(*indexer.k == Operand{1, 128, 0});
  CHECK(indexer.softmax_scale() == 1);
  CHECK(model.specs(RopeRole::indexer).size() == 1);
  CHECK(model.layers(RopeRole::vision) == 0);
  CHECK(model.warnings().empty());
}

TEST_CASE("which layers have an indexer, and how it turns") {
  const std::string glm = R"("model_type": "glm_moe_dsa", )" + kLatent;
  struct Row {
    std::string fields;
    std::vector<std::int64_t> layers;
    bool deinterleaves;
  };
  const Row rows[] = {
      {glm, {0, 1, 2, 3}, true},
      {glm + R"(, "indexer_rope_interleave": false)", {0, 1, 2, 3}, false},
      {glm + R"(, "indexer_types": ["full", "shared", "shared", "full"])", {0, 3}, true},
      {glm + R"(, "index_topk_freq": 2)", {0, 1, 3}, true},
      {R"("model_type": "hy_v4", )" + kLatent, {0, 1}, false},
      {R"("model_type": "deepseek_v32", "indexer_rope_interleave": true, )" + kLatent, {0, 1, 2, 3}, true},
      {R"("model_type": "deepseek_v3", )" + kLatent, {}, false},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const ModelRopes model = model_with(row.fields);
    CHECK(indexed(model) == row.layers);
    for (const RopeSpec& spec : model.specs(RopeRole::indexer)) {
      CHECK((spec.layout == Layout::interleaved) == row.deinterleaves);
      CHECK(spec.layout_out.has_value() == row.deinterleaves);
    }
  }
}

TEST_CASE("DeepSeek-V4's layers turn by two thetas, its last lanes") {
  const ModelRopes model = model_with(
      R"("model_type": "deepseek_v4", "head_dim": 512, "qk_rope_head_dim": 64, "compress_ratios": [0, 128, 4, 0, 0],
         "rope_theta": 10000, "compress_rope_theta": 160000, "rope_scaling": {"type": "yarn", "factor": 16,
         "beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings": 65536})");
  REQUIRE(model.specs().size() == 2);
  CHECK(model.kind(2) == "compressed_sparse_attention");
  CHECK(model.find(0)->theta == 10000);
  CHECK(model.find(0)->scaling == Scaling{NoScaling{}});
  CHECK(model.find(0) == model.find(3));
  CHECK(model.find(1) == model.find(2));
  CHECK(model.find(1)->theta == 160000);
  CHECK(std::get<YarnScaling>(model.find(1)->scaling).attention_factor == 1.0);
  CHECK(model.find(1)->q == Operand{16, 512, 448});
  CHECK(*model.find(1)->k == Operand{4, 512, 448});
  CHECK(indexed(model) == std::vector<std::int64_t>{2});
  CHECK(model.find(2, RopeRole::indexer)->q == Operand{64, 128, 64});
  REQUIRE(model.warnings().size() == 1);
  CHECK(contains(model.warnings()[0], "inverse"));
}

TEST_CASE("Gemma 4's full layers have heads of their own") {
  const std::string fields =
      R"("model_type": "gemma4_text", "head_dim": 256, "layer_types": ["sliding_attention", "full_attention",
         "sliding_attention", "sliding_attention"])";
  struct Row {
    std::string more;
    std::int64_t head_dim;
    std::int64_t k_heads;
  };
  const Row rows[] = {
      {"", 512, 4},
      {R"(, "global_head_dim": 128, "num_global_key_value_heads": 2)", 128, 4},
      {R"(, "global_head_dim": 128, "num_global_key_value_heads": 2, "attention_k_eq_v": true)", 128, 2},
      {R"(, "per_layer_config": {"01": {"head_dim": 64, "num_key_value_heads": 1}})", 64, 1},
  };
  for (const Row& row : rows) {
    INFO(row.more);
    const ModelRopes model = model_with(fields + row.more);
    CHECK(model.find(0)->q == Operand{16, 256, 0});
    CHECK(model.find(0)->theta == 1e4);
    CHECK(model.kind(3) == "full_attention");
    const RopeSpec& full = *model.find(1);
    CHECK(&full == model.find(3));
    CHECK(full.q == Operand{16, row.head_dim, 0});
    CHECK(*full.k == Operand{row.k_heads, row.head_dim, 0});
    CHECK(full.rotary_dim == row.head_dim);
    CHECK(full.scaling == Scaling{ProportionalScaling{1.0, 0.25}});
    CHECK(full.theta == 1e6);
  }
}

TEST_CASE("published models with images have axes, and a tower of their own") {
  struct Row {
    const char* name;
    std::vector<std::int64_t> sections;
    std::int64_t layers;
    Operand q;
    Layout layout;
    AxisFrequencies frequencies;
  };
  const auto restarted = AxisFrequencies::restarted;
  const Row rows[] = {
      {"qwen2.5-vl-7b", {16, 24, 24}, 32, {16, 80, 0}, Layout::split_half, restarted},
      {"llama-4-scout", {}, 34, {16, 88, 0}, Layout::interleaved, restarted},
      {"mistral-small-3.1-24b", {}, 24, {16, 64, 0}, Layout::split_half, AxisFrequencies::strided},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const ModelRopes model = file(row.name);
    CHECK(model.specs().front().axes.sections == row.sections);
    CHECK(model.specs().front().axes.order == AxisOrder::chunked);
    REQUIRE(model.layers(RopeRole::vision) == row.layers);
    REQUIRE(model.specs(RopeRole::vision).size() == 1);
    const RopeSpec& tower = *model.find(row.layers - 1, RopeRole::vision);
    CHECK(tower.q == row.q);
    CHECK(*tower.k == row.q);
    CHECK(tower.rotary_dim == row.q.head_dim);
    CHECK(tower.layout == row.layout);
    CHECK(tower.axes.sections == std::vector<std::int64_t>(2, row.q.head_dim / 4));
    CHECK(tower.axes.frequencies == row.frequencies);
    CHECK(tower.theta == 1e4);
    CHECK(tower.rounding == Rounding::exact);
    CHECK(model.warnings().empty());
  }
}

TEST_CASE("a tower has the key heads of its config, or of its class") {
  const auto k_heads = [](const std::string& fields) {
    const ModelRopes model = model_with(R"("model_type": "llama", "vision_config": {)" + fields + "}");
    return model.find(0, RopeRole::vision)->k->heads;
  };
  CHECK(k_heads(R"("model_type": "gemma4_vision", "num_attention_heads": 16, "num_key_value_heads": 8)") == 8);
  CHECK(k_heads(R"("model_type": "gemma4_vision", "num_attention_heads": 24)") == 12);
  CHECK(k_heads(R"("model_type": "pixtral", "num_attention_heads": 8)") == 8);
}

TEST_CASE("a tower that is not built leaves the language model, with a warning that names it") {
  const ModelRopes model =
      model_with(R"("model_type": "kimi_k2", "vision_config": {"model_type": "dots3_note_vision"}, )" + kLatent);
  CHECK(model.single().rotary_dim == 16);
  CHECK(model.layers(RopeRole::vision) == 0);
  REQUIRE(model.warnings().size() == 1);
  CHECK(contains(model.warnings()[0], "vision_config.model_type: found \"dots3_note_vision\""));
  for (const auto& error : {error_of([&] { return model.find(0, RopeRole::vision); }),
                            error_of([&] { return model.specs(RopeRole::vision).size(); })}) {
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::unsupported);
    CHECK(error->what() == model.warnings()[0]);
  }
  const ModelRopes learned =
      model_with(R"("model_type": "llava", "vision_config": {"model_type": "siglip_vision_model"})");
  CHECK(learned.warnings().empty());
  CHECK(learned.layers(RopeRole::vision) == 0);
  const auto none = error_of([&] { return learned.find(0, RopeRole::vision); });
  REQUIRE(none);
  CHECK(contains(none->what(), "layer: found 0"));
  const auto role = error_of([&] { return learned.find(0, static_cast<RopeRole>(7)); });
  REQUIRE(role);
  CHECK(contains(role->what(), "role: found 7"));
}

TEST_CASE("layers without attention do not rotate") {
  struct Row {
    const char* fields;
    std::vector<bool> rotates;
  };
  const Row rows[] = {
      {R"("model_type": "qwen3_next", "head_dim": 256, "partial_rotary_factor": 0.25)", {false, false, false, true}},
      {R"("model_type": "qwen3_next", "head_dim": 256, "partial_rotary_factor": 0.25, "full_attention_interval": 2)",
       {false, true, false, true}},
      {R"("model_type": "lfm2", "rope_theta": 1e6, "layer_types": ["conv", "full_attention", "conv", "conv"])",
       {false, true, false, false}},
      {R"("model_type": "lfm2", "rope_theta": 1e6, "full_attn_idxs": [2])", {false, false, true, false}},
      {R"("model_type": "bamba", "partial_rotary_factor": 0.5, "attn_layer_indices": [0, 3])",
       {true, false, false, true}},
      {R"("model_type": "minimax", "rope_theta": 1e7)", {true, false, true, false}},
      {R"("model_type": "mllama_text_model", "rope_theta": 5e5, "cross_attention_layers": [1, 3])",
       {true, false, true, false}},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const ModelRopes model = model_with(row.fields);
    for (std::size_t i = 0; i < row.rotates.size(); ++i) {
      CAPTURE(i);
      CHECK((model.find(static_cast<std::int64_t>(i)) != nullptr) == row.rotates[i]);
    }
  }
}

TEST_CASE("parity gives every spec of a model its family's rounding") {
  ModelOptions options;
  options.parity = true;
  for (const auto& [fields, rounding] : {std::pair<const char*, Rounding>{R"("model_type": "llama")", Rounding::p1},
                                         {R"("model_type": "cohere2")", Rounding::p2},
                                         {R"("model_type": "olmo2")", Rounding::p3},
                                         {R"("model_type": "arcee")", Rounding::p1}}) {
    INFO(fields);
    const RopeSpec spec = model_with(fields, options).specs().front();
    CHECK(spec.rounding == rounding);
    CHECK(spec.angle == AngleRounding::fp32);
    CHECK(model_with(fields).specs().front().rounding == Rounding::exact);
  }
  CHECK(file("qwen2.5-vl-7b", options).specs(RopeRole::vision).front().rounding == Rounding::p3);
  CHECK(file("deepseek-v3.2", options).specs(RopeRole::indexer).front().angle == AngleRounding::fp32);
}

TEST_CASE("round_as gives every spec of a model an engine's rounding, and leaves its angles exact") {
  ModelOptions options;
  options.round_as = Engine::vllm;
  options.prologue = true;
  const RopeSpec spec = model_with(R"("model_type": "qwen3", "head_dim": 64)", options).specs().front();
  REQUIRE(spec.q.norm);
  CHECK(spec.round_after.weight);
  CHECK_FALSE(spec.round_after.norm);
  CHECK(spec.rounding == Rounding::exact);
  CHECK(spec.angle == AngleRounding::exact);
  for (const char* name : {"qwen2.5-vl-7b", "deepseek-v3.2"}) {
    INFO(name);
    ModelOptions rounded;
    rounded.round_as = Engine::aiter;
    for (const RopeRole role : {RopeRole::main, RopeRole::indexer, RopeRole::vision}) {
      const std::vector<RopeSpec> specs = file(name).specs(role);
      REQUIRE(file(name, rounded).specs(role).size() == specs.size());
      for (std::size_t i = 0; i < specs.size(); ++i) {
        CHECK(file(name, rounded).specs(role)[i] == rounded_as(specs[i], Engine::aiter));
      }
    }
  }
}

TEST_CASE("round_as together with parity is refused, and so is what is no engine") {
  ModelOptions options;
  options.parity = true;
  options.round_as = Engine::tensorrt_llm;
  const auto both = error_of([&] { return model_with(R"("model_type": "llama")", options); });
  REQUIRE(both);
  CHECK(both->code() == ErrorCode::invalid_argument);
  CHECK(contains(both->what(), "round_as: found tensorrt_llm with parity, allowed: one of round_as and parity"));
  options.parity = false;
  options.round_as = static_cast<Engine>(9);
  const auto none = error_of([&] { return model_with(R"("model_type": "llama")", options); });
  REQUIRE(none);
  CHECK(contains(none->what(), "round_as: found 9, allowed: exact, vllm_fused"));
}

TEST_CASE("keys of a rope dictionary that nothing reads are told of") {
  struct Row {
    const char* fields;
    std::vector<const char*> fields_told;
  };
  const Row rows[] = {
      {R"("rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "betafast": 32})",
       {"rope_scaling.betafast: found 32, which yarn does not read"}},
      {R"("rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "attn_factor": 2})",
       {"rope_scaling.attn_factor: found 2, which yarn does not read"}},
      {R"("rope_scaling": {"rope_type": "default", "zebra": [1], "apple": "x", "none": null})",
       {"rope_scaling.apple: found \"x\", which default does not read",
        "rope_scaling.zebra: found an array, which default does not read"}},
      {R"("layer_types": ["x", "x", "x", "x"], "rope_parameters": {"truncate": false,
          "x": {"rope_type": "linear", "factor": 2, "beta": 1}})",
       {"rope_parameters.truncate", "rope_parameters.x.beta: found 1, which linear does not read"}},
      {R"("rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "rope_theta": 1e4,
          "original_max_position_embeddings": 8192, "partial_rotary_factor": 1.0})",
       {}},
      {R"("model_type": "hunyuan_v1_dense", "rope_scaling": {"type": "dynamic", "alpha": 1000, "beta_fast": 32,
          "beta_slow": 1, "factor": 1, "mscale": 1, "mscale_all_dim": 1})",
       {}},
      {R"("index_n_heads": 4)", {"index_n_heads: found 4"}},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const std::vector<std::string> warnings = model_with(row.fields).warnings();
    REQUIRE(warnings.size() == row.fields_told.size());
    for (std::size_t i = 0; i < warnings.size(); ++i) {
      INFO(warnings[i]);
      CHECK(contains(warnings[i], row.fields_told[i]));
      CHECK(ropejit::test::is_one_line(warnings[i]));
    }
  }
}

TEST_CASE("bad sections, towers and indexers are named") {
  struct Row {
    std::string fields;
    const char* field;
    ErrorCode code;
  };
  const auto kParse = ErrorCode::parse_error;
  const auto kRange = ErrorCode::invalid_argument;
  const auto axes = [](const std::string& sections) {
    return R"("model_type": "qwen2_vl", "rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": )" +
           sections + "}";
  };
  const auto tower = [](const std::string& fields) {
    return R"("model_type": "llama", "vision_config": {"model_type": "qwen2_vl_vision", )" + fields + "}";
  };
  const std::string ernie = R"("model_type": "ernie4_5_vl_moe_text", "rope_theta": 5e5, "rope_scaling": {"rope_type":
                               "default", "mrope_section": )";
  const std::string dsa = R"("model_type": "glm_moe_dsa", )" + kLatent;
  const std::string v4 = R"("model_type": "deepseek_v4", "head_dim": 64, "qk_rope_head_dim": 16, )";
  const Row rows[] = {
      {axes("[8, 12, 11]"), "rope_scaling.mrope_section", kRange},
      {axes("[8, 12]"), "rope_scaling.mrope_section", kRange},
      {axes("[8, 12, 6, 6]"), "rope_scaling.mrope_section", kRange},
      {axes("[-8, 28, 12]"), "rope_scaling.mrope_section[0]", kRange},
      {axes("[8, 12.5, 11.5]"), "rope_scaling.mrope_section[1]", kRange},
      {axes(R"([8, "12", 12])"), "rope_scaling.mrope_section[1]", kParse},
      {axes("32"), "rope_scaling.mrope_section", kParse},
      {R"("model_type": "qwen2_vl", "rope_theta": 1e6)", "rope_scaling.mrope_section", kRange},
      {R"("model_type": "qwen3_vl_text", "rope_theta": 1e6, "head_dim": 64, "rope_parameters": {"rope_type": "default",
          "mrope_section": [0, 16, 16]})",
       "axes.sections[1]", kRange},
      {ernie + "[10, 12, 10]}", "rope_scaling.mrope_section", kRange},
      {R"("model_type": "hunyuan_vl_text", "rope_scaling": {"rope_type": "xdrope", "alpha": 1000})",
       "rope_scaling.mrope_section", kParse},
      {R"("model_type": "hunyuan_vl_text", "rope_scaling": {"rope_type": "xdrope", "alpha": 1000,
          "xdrope_section": [8, 8, 8, 8], "mrope_section": [8, 8, 16]})",
       "rope_scaling.xdrope_section", kRange},
      {tower(R"("num_heads": 7)"), "vision_config.embed_dim", kRange},
      {tower(R"("num_heads": "7")"), "vision_config.num_heads", kParse},
      {tower(R"("embed_dim": 96, "num_heads": 16)"), "vision_config.head_dim", kRange},
      {tower(R"("depth": 0)"), "vision_config.depth", kRange},
      {tower(R"("rope_parameters": {"rope_type": "yarn"})"), "vision_config.rope_parameters.rope_type",
       ErrorCode::unsupported},
      {tower(R"("rope_theta": -1)"), "vision_config.rope_theta", kRange},
      {R"("vision_config": 3)", "vision_config", kParse},
      {dsa + R"(, "index_head_dim": 8)", "index_head_dim", kRange},
      {dsa + R"(, "index_n_heads": 0)", "index_n_heads", kRange},
      {dsa + R"(, "indexer_types": ["full"])", "indexer_types", kRange},
      {dsa + R"(, "indexer_types": ["full", "full", "none", "full"])", "indexer_types[2]", kRange},
      {dsa + R"(, "index_topk_pattern": "FSSF")", "index_topk_pattern", ErrorCode::unsupported},
      {dsa + R"(, "rope_interleave": false)", "rope_interleave", ErrorCode::unsupported},
      {R"("model_type": "deepseek_v4", "head_dim": 64)", "qk_rope_head_dim", kParse},
      {v4 + R"("compress_ratios": [0, 4])", "compress_ratios", kRange},
      {v4 + R"("compress_ratios": [0, 4, 7, 0])", "compress_ratios[2]", kRange},
      {v4 + R"("compress_rope_theta": 0)", "compress_rope_theta", kRange},
      {R"("model_type": "mllama_text_model", "rope_theta": 5e5, "cross_attention_layers": [4])",
       "cross_attention_layers[0]", kRange},
      {R"("model_type": "bamba", "partial_rotary_factor": 0.5)", "layer_types", kParse},
      {R"("model_type": "lfm2", "rope_theta": 1e6, "full_attn_idxs": [0, -1])", "full_attn_idxs[1]", kRange},
      {R"("model_type": "lfm2", "rope_theta": 1e6, "full_attn_idxs": 3)", "full_attn_idxs", kParse},
      {R"("model_type": "gemma4_text", "head_dim": 64, "global_head_dim": 63)", "global_head_dim", kRange},
      {R"("model_type": "gemma4_text", "head_dim": 64, "per_layer_config": {"0": {"head_dim": 64},
          "1": {"head_dim": 32}})",
       "head_dim", ErrorCode::unsupported},
      {R"("model_type": "gpt_oss", "head_dim": 64, "rope_theta": 150000)", "rope_parameters", kParse},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const auto error = error_of([&] { return model_with(row.fields); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == row.code);
    CHECK(contains(error->what(), std::string(row.field) + ":"));
    CHECK(ropejit::test::is_one_line(error->what()));
  }
  ModelOptions options;
  options.tp = 8;
  const auto uneven = error_of([&] { return model_with(tower(R"("num_heads": 20)"), options); });
  REQUIRE(uneven);
  CHECK(contains(uneven->what(), "tp: found 8, allowed: a divisor of vision_config.num_heads 20"));
}
