#include "ropejit/model.hpp"

#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "hf/sample_config.hpp"
#include "ropejit/error.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using ropejit::test::contains;
using ropejit::test::error_of;
using ropejit::test::typed;

namespace {

std::string config_with(const std::string& fields) {
  return typed(R"({"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 64, )" +
               fields + "}");
}

ModelRopes model_with(const std::string& fields, const ModelOptions& options = {}) {
  return ModelRopes::from_hf_config(config_with(fields), options);
}

// One letter a layer: '.' for none, else 'a', 'b', ... for specs in order.
std::string pattern(const ModelRopes& model) {
  std::string letters;
  for (std::int64_t layer = 0; layer < model.layers(); ++layer) {
    const RopeSpec* spec = model.find(layer);
    letters += spec == nullptr ? '.' : static_cast<char>('a' + (spec - model.specs().data()));
  }
  return letters;
}

}  // namespace

TEST_CASE("a model whose layers are alike has one rotation in all of them") {
  const ModelRopes model = model_with(R"("num_hidden_layers": 3, "rope_theta": 5e5)");
  CHECK(pattern(model) == "aaa");
  CHECK(model.kind(2) == "attention");
  CHECK(model.single().theta == 5e5);
  CHECK(model.single() == RopeSpec::from_hf_config(config_with(R"("rope_theta": 5e5)")));
}

TEST_CASE("which layers rotate, and how, is what each family's code does") {
  struct Row {
    const char* fields;
    const char* pattern;
    std::vector<double> thetas;
    std::vector<Scaling> scalings;
  };
  const Scaling none = NoScaling{};
  const Row rows[] = {
      {R"("model_type": "gemma3_text", "num_hidden_layers": 8, "rope_scaling": {"rope_type": "linear", "factor": 8})",
       "aaaaabaa",
       {1e4, 1e6},
       {none, LinearScaling{8}}},
      {R"("model_type": "gemma3_text", "num_hidden_layers": 4, "sliding_window_pattern": 2, "rope_theta": 5e5,
          "rope_local_base_freq": 2e4)",
       "abab",
       {2e4, 5e5},
       {none, none}},
      {R"("model_type": "gemma3_text", "num_hidden_layers": 2, "layer_types": ["full_attention", "sliding_attention"],
          "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8, "rope_theta": 1e6},
                              "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})",
       "ab",
       {1e6, 1e4},
       {LinearScaling{8}, none}},
      {R"("model_type": "gemma3_text", "num_hidden_layers": 2, "layer_types": ["full_attention", "sliding_attention"],
          "rope_parameters": {"full_attention": {"rope_type": "default"},
                              "sliding_attention": {"rope_type": "default"}})",
       "ab",
       {1e6, 1e4},
       {none, none}},
      {R"("model_type": "gemma3n_text", "num_hidden_layers": 10)", "aaaabaaaab", {1e4, 1e6}, {none, none}},
      {R"("model_type": "modernbert", "num_hidden_layers": 7, "global_rope_theta": 160000.0,
          "local_rope_theta": 10000.0)",
       "abbabba",
       {160000, 1e4},
       {none, none}},
      {R"("model_type": "modernbert", "num_hidden_layers": 2, "rope_scaling": {"type": "linear", "factor": 2})",
       "ab",
       {160000, 1e4},
       {LinearScaling{2}, LinearScaling{2}}},
      {R"("model_type": "olmo3", "num_hidden_layers": 5, "rope_theta": 500000,
          "rope_scaling": {"rope_type": "linear", "factor": 8})",
       "aaaba",
       {5e5, 5e5},
       {none, LinearScaling{8}}},
      {R"("model_type": "olmo3", "num_hidden_layers": 5, "rope_theta": 500000)", "aaaaa", {5e5}, {none}},
      {R"("model_type": "smollm3", "num_hidden_layers": 9, "rope_theta": 2e6)", "aaa.aaa.a", {2e6}, {none}},
      {R"("model_type": "smollm3", "num_hidden_layers": 4, "rope_theta": 2e6, "no_rope_layers": [0, 1, 1, 0])",
       ".aa.",
       {2e6},
       {none}},
      {R"("model_type": "smollm3", "num_hidden_layers": 4, "rope_theta": 2e6, "no_rope_layer_interval": 2)",
       "a.a.",
       {2e6},
       {none}},
      {R"("model_type": "llama4_text", "num_hidden_layers": 8, "rope_theta": 5e5, "no_rope_layers": [])",
       "aaa.aaa.",
       {5e5},
       {none}},
      {R"("model_type": "llama4_text", "num_hidden_layers": 2, "no_rope_layers": [1, 0], "rope_theta": 5e5,
          "rope_scaling": {"rope_type": "llama3", "factor": 16, "low_freq_factor": 1, "high_freq_factor": 1,
                           "original_max_position_embeddings": 8192})",
       "a.",
       {5e5},
       {Llama3Scaling{16, 1, 1, 8192}}},
      {R"("model_type": "cohere2", "num_hidden_layers": 8, "rope_theta": 50000)", "aaa.aaa.", {50000}, {none}},
      {R"("model_type": "exaone4", "num_hidden_layers": 4, "sliding_window": 4096, "sliding_window_pattern": 4)",
       "aaa.",
       {1e4},
       {none}},
      {R"("model_type": "exaone4", "num_hidden_layers": 3, "sliding_window": null)", "aaa", {1e4}, {none}},
      {R"("model_type": "exaone_moe", "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"])",
       "a.",
       {1e4},
       {none}},
      {R"("model_type": "qwen3", "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"])",
       "aa",
       {1e4},
       {none}},
      {R"("model_type": "arcee", "layer_types": ["x", "y", "x", "z"], "rope_theta": 7e4, "rope_parameters":
          {"x": {"rope_type": "default"}, "y": {"rope_type": "linear", "factor": 2, "rope_theta": 9e4}, "z": null})",
       "aba.",
       {7e4, 9e4},
       {none, LinearScaling{2}}},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const ModelRopes model = model_with(row.fields);
    CHECK(pattern(model) == row.pattern);
    REQUIRE(model.specs().size() == row.thetas.size());
    for (std::size_t i = 0; i < row.thetas.size(); ++i) {
      CHECK(model.specs()[i].theta == row.thetas[i]);
      CHECK(model.specs()[i].scaling == row.scalings[i]);
    }
    const std::string letters = row.pattern;
    if (letters.find_first_not_of('a') == std::string::npos) {
      CHECK(model.single() == model.specs().front());
    } else {
      const auto error = error_of([&] { return model.single(); });
      REQUIRE(error);
      CHECK(error->code() == ErrorCode::unsupported);
      CHECK(contains(error->what(), "layers: found"));
      CHECK(ropejit::test::is_one_line(error->what()));
    }
  }
}

TEST_CASE("layers of a text_config, and the layout of their family") {
  const ModelRopes model = ModelRopes::from_hf_config(
      R"({"model_type": "llama4", "text_config": {"model_type": "llama4_text", "num_attention_heads": 40,
          "num_key_value_heads": 8, "head_dim": 128, "num_hidden_layers": 4, "rope_theta": 5e5, "dtype": "float16"}})");
  CHECK(pattern(model) == "aaa.");
  CHECK(model.specs()[0].layout == Layout::interleaved);
  CHECK(model.specs()[0].dtype == DType::fp16);
  CHECK(model.find(0)->q == Operand{40, 128, 0});
}

TEST_CASE("truncate beside the kinds of layers counts for none of them, as transformers has it") {
  const ModelRopes model = model_with(
      R"("num_hidden_layers": 1, "layer_types": ["full_attention"], "rope_parameters": {"full_attention":
         {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "truncate": false}})");
  CHECK(std::get<YarnScaling>(model.single().scaling).truncate);
}

TEST_CASE("latent attention rotates a slice of each query head and of the one row of keys") {
  const std::string fields =
      R"("model_type": "deepseek_v2", "num_hidden_layers": 2, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
         "kv_lora_rank": 512, "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096,
         "beta_fast": 32, "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707})";
  const RopeSpec spec = model_with(fields).single();
  CHECK(spec.layout == Layout::interleaved);
  CHECK(spec.rotary_dim == 64);
  CHECK(spec.q == Operand{16, 192, 128});
  REQUIRE(spec.k);
  CHECK(*spec.k == Operand{1, 576, 512});
  CHECK(std::get<YarnScaling>(spec.scaling).scale_softmax);
  ModelOptions options;
  options.tp = 8;
  const ModelRopes shared = model_with(fields, options);
  CHECK(shared.single().q.heads == 2);
  CHECK(shared.single().k->heads == 1);
}

TEST_CASE("ranks share the heads, or have copies of key heads") {
  struct Row {
    std::int64_t tp;
    std::int64_t q_heads;
    std::int64_t k_heads;  // 0: refused
  };
  for (const Row& row : {Row{1, 16, 4}, Row{2, 8, 2}, Row{4, 4, 1}, Row{8, 2, 1}, Row{16, 1, 1}, Row{3, 0, 0},
                         Row{32, 0, 0}, Row{0, 0, 0}, Row{-2, 0, 0}}) {
    CAPTURE(row.tp);
    ModelOptions options;
    options.tp = row.tp;
    const auto read = [&] { return model_with(R"("num_hidden_layers": 1)", options); };
    if (row.k_heads != 0) {
      CHECK(read().single().q.heads == row.q_heads);
      CHECK(read().single().k->heads == row.k_heads);
      continue;
    }
    const auto error = error_of(read);
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::invalid_argument);
    CHECK(contains(error->what(), "tp: found"));
  }
  ModelOptions options;
  options.tp = 6;
  const auto uneven = error_of([&] {
    return ModelRopes::from_hf_config(
        R"({"model_type": "llama", "num_attention_heads": 12, "num_key_value_heads": 4, "head_dim": 64, "num_hidden_layers": 1})",
        options);
  });
  REQUIRE(uneven);
  CHECK(contains(uneven->what(), "num_key_value_heads 4"));
}

TEST_CASE("options set the dtype, and the length of the rules that depend on one") {
  ModelOptions options;
  options.dtype = DType::fp32;
  options.max_model_len = 8192;
  const ModelRopes model = model_with(
      R"("layer_types": ["x", "y"], "max_position_embeddings": 4096, "rope_parameters":
         {"x": {"rope_type": "dynamic", "factor": 2}, "y": {"rope_type": "default"}})",
      options);
  REQUIRE(pattern(model) == "ab");
  CHECK(model.find(0)->max_length == 8192);
  CHECK_FALSE(model.find(1)->max_length);
  CHECK(model.find(1)->dtype == DType::fp32);

  options.max_model_len = 0;
  const auto error = error_of([&] { return model_with(R"("num_hidden_layers": 1)", options); });
  REQUIRE(error);
  CHECK(contains(error->what(), "max_model_len: found 0"));
}

TEST_CASE("a model's bad or missing layers are named") {
  struct Row {
    const char* fields;
    const char* field;
    ErrorCode code;
  };
  const auto kParse = ErrorCode::parse_error;
  const auto kRange = ErrorCode::invalid_argument;
  const Row rows[] = {
      {R"("rope_theta": 1e4)", "num_hidden_layers", kParse},
      {R"("num_hidden_layers": 0)", "num_hidden_layers", kRange},
      {R"("num_hidden_layers": 1e9)", "num_hidden_layers", kRange},
      {R"("num_hidden_layers": 3, "layer_types": ["x", "y"])", "layer_types", kRange},
      {R"("num_hidden_layers": 2, "layer_types": "x")", "layer_types", kParse},
      {R"("num_hidden_layers": 2, "layer_types": ["x", 1])", "layer_types[1]", kParse},
      {R"("layer_types": [])", "layer_types", kParse},
      {R"("model_type": "exaone_moe", "num_hidden_layers": 2)", "layer_types", kParse},
      {R"("model_type": "smollm3", "rope_theta": 1, "num_hidden_layers": 2, "no_rope_layers": [1])", "no_rope_layers",
       kRange},
      {R"("model_type": "smollm3", "rope_theta": 1, "num_hidden_layers": 2, "no_rope_layers": [1, 2])",
       "no_rope_layers[1]", kRange},
      {R"("model_type": "smollm3", "rope_theta": 1, "num_hidden_layers": 2, "no_rope_layers": 4)", "no_rope_layers",
       kParse},
      {R"("num_hidden_layers": 2, "no_rope_layers": [1, 0])", "no_rope_layers", ErrorCode::unsupported},
      {R"("model_type": "cohere2_moe", "layer_types": ["full_attention"], "force_rope": true)", "force_rope",
       ErrorCode::unsupported},
      {R"("layer_types": ["x", "y"], "rope_parameters": {"x": {"rope_type": "default"}})", "rope_parameters.y", kParse},
      {R"("layer_types": ["x"], "rope_parameters": {"x": {"rope_type": "yarn"}})",
       "rope_parameters.x.original_max_position_embeddings", kParse},
      {R"("layer_types": ["x"], "rope_parameters": {"x": {"rope_type": "default", "mrope_section": [8, 12, 12]}})",
       "rope_parameters.x.mrope_section", ErrorCode::unsupported},
      {R"("model_type": "gemma3_text", "num_hidden_layers": 6, "rope_parameters": {"rope_type": "default",
          "rope_theta": 1e6})",
       "rope_parameters.rope_theta", ErrorCode::unsupported},
      {R"("model_type": "deepseek_v2", "num_hidden_layers": 1, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128)",
       "kv_lora_rank", kParse},
      {R"("model_type": "bailing_hybrid", "num_hidden_layers": 1)", "model_type", ErrorCode::unsupported},
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
}

TEST_CASE("a layer that a model does not have is refused") {
  const ModelRopes model = model_with(R"("num_hidden_layers": 2)");
  for (const std::int64_t layer : {-1, 2}) {
    for (const auto& error :
         {error_of([&] { return model.find(layer); }), error_of([&] { return model.kind(layer); })}) {
      REQUIRE(error);
      CHECK(error->code() == ErrorCode::invalid_argument);
      CHECK(contains(error->what(), "layer: found"));
    }
  }
}

TEST_CASE("the time a model takes to read grows with its layers, not with their square") {
  const auto begin = std::chrono::steady_clock::now();
  const ModelRopes model =
      model_with(R"("num_hidden_layers": 65536, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4})");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  CHECK(model.layers() == 65536);
  CHECK(model.specs().size() == 1);
  // 0.07 s with sanitizers; the rest is for busy machines. With the square it was a minute and more.
  CHECK(took.count() < 20);
}

TEST_CASE("every model file of the tests gives its one rotation to all its layers") {
  for (const char* name : {"llama-3.1-8b", "falcon-7b", "gpt-j-6b", "phi-2", "qwen2.5-7b"}) {
    INFO(name);
    const std::string text = ropejit::test::read_test_file(std::string("data/models/") + name + ".json");
    const ModelRopes model = ModelRopes::from_hf_config(text);
    CHECK(model.layers() >= 16);
    CHECK(model.single() == RopeSpec::from_hf_config(text));
  }
}

TEST_CASE("DeepSeek-V3 reads neighbouring lanes and writes halves, unless its config says otherwise") {
  const std::string fields =
      R"({"model_type": "deepseek_v3", "num_hidden_layers": 1, "hidden_size": 7168, "num_attention_heads": 128,
          "num_key_value_heads": 128, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "kv_lora_rank": 512,
          "v_head_dim": 128, "rope_theta": 10000, "max_position_embeddings": 163840,
          "rope_scaling": {"type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0,
                           "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096})";
  const RopeSpec spec = RopeSpec::from_hf_config(fields + "}");
  CHECK(spec.layout == Layout::interleaved);
  CHECK(spec.layout_out == Layout::split_half);
  CHECK(spec.rotary_dim == 64);
  CHECK(spec.q == Operand{128, 192, 128});
  CHECK(spec.k == Operand{1, 576, 512});
  CHECK(std::fabs(spec.softmax_scale() - 1.87385421) < 5e-9);
  const RopeSpec plain = RopeSpec::from_hf_config(fields + R"(, "rope_interleave": false})");
  CHECK(plain.layout == Layout::split_half);
  CHECK_FALSE(plain.layout_out.has_value());
}
