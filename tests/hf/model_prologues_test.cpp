// Specs of whole attention prologues: the norms of q and k and the values, by what a config.json says. The norms of the
// goldens are transformers' own numbers (golden/make_hf_prologues.py).
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "hf/model_json.hpp"
#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"
#include "support/golden_prologue.hpp"

using namespace ropejit;
using ropejit::test::contains;
using ropejit::test::error_of;

namespace {

std::string config_of(const std::string& type, const std::string& fields = "") {
  return R"({"model_type": ")" + type +
         R"(", "hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 128,
            "num_hidden_layers": 4, "rope_theta": 10000)" +
         (fields.empty() ? "" : ", " + fields) + "}";
}

ModelOptions prologue(bool parity = false, std::int64_t tp = 1) {
  ModelOptions options;
  options.parity = parity;
  options.tp = tp;
  options.prologue = true;
  return options;
}

Operand normed(std::int64_t heads, std::int64_t head_dim, std::optional<double> eps) {
  Operand operand{heads, head_dim};
  if (eps) operand.norm = Norm{*eps};
  return operand;
}

// The spec without what a prologue adds to it.
RopeSpec rotation_of(RopeSpec spec) {
  spec.q.norm.reset();
  spec.k->norm.reset();
  spec.v.reset();
  spec.round_after = {};
  return spec;
}

struct Row {
  const char* type;
  const char* fields;
  std::optional<double> eps;  // nothing: no norm
  bool rounds_normed = true;  // with parity
};

const Row kRows[] = {
    {"llama", R"("rms_norm_eps": 1e-5)", std::nullopt},
    {"mistral", "", std::nullopt},
    {"qwen2", R"("rms_norm_eps": 1e-6)", std::nullopt},
    {"phi3", "", std::nullopt},
    {"granite", R"("attention_multiplier": 0.0078125)", std::nullopt},
    {"ernie4_5", "", std::nullopt},
    {"solar_open", "", std::nullopt},
    {"qwen3", R"("rms_norm_eps": 1e-5)", 1e-5},
    {"qwen3", "", 1e-6},
    {"qwen3_moe", R"("rms_norm_eps": null)", 1e-6},
    {"qwen3_vl_text", R"("rope_scaling": {"rope_type": "default", "mrope_section": [24, 20, 20]})", 1e-6},
    {"dots1", "", 1e-6},
    {"hy_v3", "", 1e-5},
    {"apertus", R"("rope_scaling": {"rope_type": "default"})", 1e-5},
    {"glm4_moe", R"("partial_rotary_factor": 0.5)", std::nullopt},
    {"glm4_moe", R"("partial_rotary_factor": 0.5, "use_qk_norm": false)", std::nullopt},
    {"glm4_moe", R"("partial_rotary_factor": 0.5, "use_qk_norm": true)", 1e-5},
    {"sarvam_moe", "", 1e-6},
    {"sarvam_moe", R"("use_qk_norm": false)", std::nullopt},
    {"lfm2", R"("layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"],
                "norm_eps": 3e-5, "rms_norm_eps": 1e-3)",
     3e-5},
    {"lfm3", R"("layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"],
                "rms_norm_eps": 1e-3, "rope_scaling": {"rope_type": "default"})",
     1e-3},
    {"afmoe", R"("layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention"])",
     1e-5, false},
    {"olmo", "", std::nullopt},
    {"stablelm", R"("partial_rotary_factor": 0.25, "qk_layernorm": false)", std::nullopt},
    {"llama4_text", R"("use_qk_norm": false, "no_rope_layers": [1, 1, 1, 1])", std::nullopt},
};

}  // namespace

TEST_CASE("a prologue has the norms that the model's attention gives q and k, and v beside them") {
  for (const Row& row : kRows) {
    const std::string config = config_of(row.type, row.fields);
    INFO(config);
    const ModelRopes model = ModelRopes::from_hf_config(config, prologue());
    const RopeSpec spec = model.single();
    CHECK(spec.q == normed(16, 128, row.eps));
    REQUIRE(spec.k);
    CHECK(*spec.k == normed(4, 128, row.eps));
    REQUIRE(spec.v);
    CHECK(*spec.v == Operand{4, 128});
    CHECK(spec.round_after == RoundAfter{});
    CHECK(model.warnings().empty());
    CHECK(model.find(3) != nullptr);
    CHECK(model.specs().size() == 1);
    CHECK_NOTHROW(spec.validate());
  }
}

TEST_CASE("with parity a prologue rounds where transformers does") {
  for (const Row& row : kRows) {
    const std::string config = config_of(row.type, row.fields);
    INFO(config);
    const RopeSpec spec = ModelRopes::from_hf_config(config, prologue(true)).single();
    CHECK(spec.round_after == (row.eps ? RoundAfter{row.rounds_normed, true} : RoundAfter{}));
    ModelOptions options;
    options.parity = true;
    CHECK(rotation_of(spec) == ModelRopes::from_hf_config(config, options).single());
  }
}

TEST_CASE("without a prologue nothing changes") {
  for (const Row& row : kRows) {
    const std::string config = config_of(row.type, row.fields);
    INFO(config);
    const ModelRopes plain = ModelRopes::from_hf_config(config);
    CHECK_FALSE(plain.single().q.norm);
    CHECK_FALSE(plain.single().k->norm);
    CHECK_FALSE(plain.single().v);
    CHECK(plain.single() == rotation_of(ModelRopes::from_hf_config(config, prologue()).single()));
    CHECK(plain.warnings().empty());
  }
  CHECK_NOTHROW(ModelRopes::from_hf_config(config_of("gemma3_text")));
  CHECK_NOTHROW(ModelRopes::from_hf_config(config_of("olmo", R"("clip_qkv": 8)")));
}

TEST_CASE("ranks share v as they share k") {
  for (const auto& [tp, q_heads, kv_heads] : {std::array<std::int64_t, 3>{2, 8, 2}, {4, 4, 1}, {16, 1, 1}}) {
    CAPTURE(tp);
    const RopeSpec spec = ModelRopes::from_hf_config(config_of("qwen3"), prologue(false, tp)).single();
    CHECK(spec.q == normed(q_heads, 128, 1e-6));
    CHECK(*spec.k == normed(kv_heads, 128, 1e-6));
    CHECK(*spec.v == Operand{kv_heads, 128});
  }
}

TEST_CASE("what a prologue cannot have is refused by the name of the model type and of what it has") {
  struct Refused {
    std::string config;
    const char* found;
  };
  const std::string latent = R"("qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "kv_lora_rank": 512)";
  const Refused rows[] = {
      {config_of("gemma3_text"), "gemma3_text, whose norm multiplies by 1 + w"},
      {R"({"model_type": "gemma3", "text_config": {"num_attention_heads": 16, "num_key_value_heads": 4,
           "head_dim": 128, "num_hidden_layers": 4}})",
       "gemma3_text, whose norm multiplies by 1 + w"},
      {config_of("minimax_m3_vl_text", R"("partial_rotary_factor": 0.5)"),
       "minimax_m3_vl_text, whose norm multiplies by 1 + w"},
      {config_of("minimax_m2", R"("partial_rotary_factor": 0.5)"), "minimax_m2, whose norm is over all heads"},
      {config_of("olmo2"), "olmo2, whose norm is over all heads"},
      {config_of("olmo", R"("clip_qkv": 8)"), "olmo, which clamps q, k and v"},
      {config_of("hunyuan_v1_dense"), "hunyuan_v1_dense, whose norm comes after the rotation"},
      {config_of("llama4_text"), "llama4_text, whose norm comes after the rotation"},
      {config_of("cohere", R"("use_qk_norm": true)"), "cohere, whose norm is a LayerNorm"},
      {config_of("stablelm", R"("partial_rotary_factor": 0.25, "qk_layernorm": true)"),
       "stablelm, whose norm is a LayerNorm"},
      {config_of("gemma3n_text"), "gemma3n_text, whose v has a norm, too"},
      {config_of("falcon_h1", R"("key_multiplier": 0.5)"), "falcon_h1, which scales k before the rotation"},
      {config_of("ministral3", R"("rope_scaling": {"rope_type": "default"})"),
       "ministral3, which scales q by its position"},
      {config_of("deepseek_v3", latent), "deepseek_v3, whose attention is latent"},
  };
  for (const Refused& row : rows) {
    INFO(row.config);
    const auto error = error_of([&] { return ModelRopes::from_hf_config(row.config, prologue()); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::unsupported);
    CHECK(contains(error->what(),
                   std::string("prologue: found ") + row.found +
                       ", allowed: families whose norm is an RMS norm of each head before the rotation, or that have "
                       "none"));
    CHECK(ropejit::test::is_one_line(error->what()));
    CHECK_NOTHROW(ModelRopes::from_hf_config(row.config));
  }
}

TEST_CASE("DeepSeek's ordinary attention has no norm, and what is read as a known type has that one's") {
  const RopeSpec ocr = ModelRopes::from_hf_config(config_of("deepseek_v2", R"("use_mla": false)"), prologue()).single();
  CHECK(*ocr.v == Operand{4, 128});
  CHECK_FALSE(ocr.q.norm);
  ModelOptions options = prologue();
  options.as = "qwen3";
  CHECK(ModelRopes::from_hf_config(config_of("of-next-year"), options).single().q == normed(16, 128, 1e-6));
}

TEST_CASE("a bad eps is named") {
  for (const char* eps : {"0", "2", "-1e-6", "\"1e-6\""}) {
    INFO(eps);
    const std::string config = config_of("qwen3", std::string(R"("rms_norm_eps": )") + eps);
    const auto error = error_of([&] { return ModelRopes::from_hf_config(config, prologue()); });
    REQUIRE(error);
    CHECK(contains(error->what(), "rms_norm_eps: found"));
    CHECK_NOTHROW(ModelRopes::from_hf_config(config));
  }
}

TEST_CASE("a prologue's warnings tell of layers that do not rotate, and of norms that nothing reads") {
  struct Told {
    std::string config;
    std::vector<std::string> lines;
  };
  const std::string still =
      " of 4 layers whose attention does not rotate, which have no spec: their norms, and what a "
      "cache takes of them, are not built";
  const std::string unread = ", which nothing reads in a model of this type";
  const Told rows[] = {
      {config_of("smollm3"), {"prologue: found 1" + still}},
      {config_of("exaone4", R"("sliding_window": 4096)"), {"prologue: found 1" + still}},
      {config_of("lfm2", R"("layer_types": ["conv", "conv", "full_attention", "conv"])"), {}},
      {config_of("llama", R"("use_qk_norm": true)"), {"use_qk_norm: found true" + unread}},
      {config_of("llama", R"("use_qk_norm": false, "clip_qkv": null)"), {}},
      {config_of("qwen3", R"("use_qk_norm": true)"), {}},
      {config_of("qwen3", R"("qk_norm": false, "clip_qkv": 8)"),
       {"clip_qkv: found 8" + unread, "qk_norm: found false" + unread}},
  };
  for (const Told& row : rows) {
    INFO(row.config);
    CHECK(ModelRopes::from_hf_config(row.config, prologue()).warnings() == row.lines);
    CHECK(ModelRopes::from_hf_config(row.config).warnings().empty());
  }
  CHECK(ModelRopes::from_hf_config(config_of("smollm3"), prologue()).find(3) == nullptr);
}

TEST_CASE("callers in other languages ask for a prologue by its name") {
  CHECK(internal::read_model_options(R"({"prologue": true})").prologue);
  CHECK_FALSE(internal::read_model_options("{}").prologue);
}

TEST_CASE("a config of the goldens gives their operands, and its rounding is what transformers' norm does") {
  const std::vector<test::GoldenPrologue> cases = test::read_golden_prologues();
  CHECK(cases.size() >= 5);
  std::size_t elements = 0;
  for (const test::GoldenPrologue& given : cases) {
    INFO(given.name);
    const RopeSpec spec = given.spec(true);
    CHECK(spec.dtype == given.dtype);
    CHECK(spec.rotary_dim == given.rotary_dim);
    CHECK(spec.q == given.q.operand);
    CHECK(*spec.k == given.k.operand);
    CHECK(spec.round_after == RoundAfter{true, true});
    for (const test::GoldenNormed* operand : {&given.q, &given.k}) {
      const auto lanes = static_cast<std::size_t>(operand->operand.head_dim);
      for (std::size_t i = 0; i < operand->projected.size(); ++i) {
        const auto value = [&](internal::ElementBits bits) {
          return static_cast<float>(internal::decode(given.dtype, bits));
        };
        // A product of two fp32 numbers is one, before it is rounded to the dtype.
        const float unweighted = value(operand->projected[i]) * operand->r[i / lanes];
        const float rounded = value(internal::encode(given.dtype, unweighted));
        const float weighted = rounded * value(operand->weight[i % lanes]);
        REQUIRE(internal::encode(given.dtype, weighted) == operand->normed[i]);
        ++elements;
      }
      // The model's reciprocal is within an ulp or two of the exact one.
      for (std::size_t row = 0; row < operand->r.size(); ++row) {
        double sum = 0;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
          const double x = internal::decode(given.dtype, operand->projected[row * lanes + lane]);
          sum += x * x;
        }
        const double exact = 1 / std::sqrt(sum / static_cast<double>(lanes) + operand->operand.norm->eps);
        CHECK(std::fabs(operand->r[row] / exact - 1) < std::ldexp(1.0, -21));
      }
    }
  }
  CHECK(elements > 3000);
}
