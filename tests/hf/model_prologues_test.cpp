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

Operand normed(std::int64_t heads, std::int64_t head_dim, const std::optional<Norm>& norm = std::nullopt) {
  Operand operand{heads, head_dim};
  operand.norm = norm;
  return operand;
}

Norm rms(double eps) { return Norm{eps}; }

Norm plus_one(double eps) {
  Norm norm{eps};
  norm.plus_one = true;
  return norm;
}

Norm of_token(double eps) {
  Norm norm{eps};
  norm.span = NormSpan::token;
  norm.weight = NormWeight::heads;
  return norm;
}

Norm without_weights(double eps) {
  Norm norm{eps};
  norm.weight = NormWeight::none;
  return norm;
}

Norm layer_norm(double eps, NormWeight weight, bool bias) {
  Norm norm{eps};
  norm.kind = NormKind::layer;
  norm.weight = weight;
  norm.bias = bias;
  return norm;
}

// The spec without what a prologue adds to it.
RopeSpec rotation_of(RopeSpec spec) {
  spec.q = Operand{spec.q.heads, spec.q.head_dim, spec.q.first_lane};
  spec.k = Operand{spec.k->heads, spec.k->head_dim, spec.k->first_lane};
  spec.v.reset();
  spec.gate.reset();
  spec.round_after = {};
  return spec;
}

struct Row {
  const char* type;
  const char* fields;
  std::optional<Norm> norm;  // nothing: none
  RoundAfter rounds = {};    // with parity
};

constexpr RoundAfter kTwice{.norm = true, .weight = true};
constexpr RoundAfter kOnce{.weight = true};

const Row kRows[] = {
    {"llama", R"("rms_norm_eps": 1e-5)", std::nullopt},
    {"mistral", "", std::nullopt},
    {"qwen2", R"("rms_norm_eps": 1e-6)", std::nullopt},
    {"phi3", "", std::nullopt},
    {"granite", R"("attention_multiplier": 0.0078125)", std::nullopt},
    {"ernie4_5", "", std::nullopt},
    {"solar_open", "", std::nullopt},
    {"qwen3", R"("rms_norm_eps": 1e-5)", rms(1e-5), kTwice},
    {"qwen3", "", rms(1e-6), kTwice},
    {"qwen3_moe", R"("rms_norm_eps": null)", rms(1e-6), kTwice},
    {"qwen3_vl_text", R"("rope_scaling": {"rope_type": "default", "mrope_section": [24, 20, 20]})", rms(1e-6), kTwice},
    {"dots1", "", rms(1e-6), kTwice},
    {"hy_v3", "", rms(1e-5), kTwice},
    {"apertus", R"("rope_scaling": {"rope_type": "default"})", rms(1e-5), kTwice},
    {"glm4_moe", R"("partial_rotary_factor": 0.5)", std::nullopt},
    {"glm4_moe", R"("partial_rotary_factor": 0.5, "use_qk_norm": false)", std::nullopt},
    {"glm4_moe", R"("partial_rotary_factor": 0.5, "use_qk_norm": true)", rms(1e-5), kTwice},
    {"sarvam_moe", "", rms(1e-6), kTwice},
    {"sarvam_moe", R"("use_qk_norm": false)", std::nullopt},
    {"lfm2", R"("layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"],
                "norm_eps": 3e-5, "rms_norm_eps": 1e-3)",
     rms(3e-5), kTwice},
    {"lfm3", R"("layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"],
                "rms_norm_eps": 1e-3, "rope_scaling": {"rope_type": "default"})",
     rms(1e-3), kTwice},
    {"afmoe", R"("layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention"])",
     rms(1e-5), kOnce},
    {"olmo", "", std::nullopt},
    {"stablelm", R"("partial_rotary_factor": 0.25, "qk_layernorm": false)", std::nullopt},
    {"llama4_text", R"("use_qk_norm": false, "no_rope_layers": [1, 1, 1, 1])", std::nullopt},
    {"gemma3_text", R"("layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"])",
     plus_one(1e-6), kOnce},
    {"minimax_m3_vl_text", R"("partial_rotary_factor": 0.5)", plus_one(1e-6), kOnce},
    {"olmo2", "", of_token(1e-5), kOnce},
    {"olmo2", R"("rms_norm_eps": 1e-6)", of_token(1e-6), kOnce},
    {"flex_olmo", "", of_token(1e-6), kOnce},
    {"minimax_m2", R"("partial_rotary_factor": 0.5)", of_token(1e-6), kTwice},
    {"molmo2_text", "", rms(1e-6), kTwice},
    {"molmo2_text", R"("qk_norm_type": "olmo")", of_token(1e-6), kTwice},
    {"cohere", R"("use_qk_norm": true)", layer_norm(1e-5, NormWeight::heads, false), kOnce},
    {"stablelm", R"("partial_rotary_factor": 0.25, "qk_layernorm": true, "layer_norm_eps": 2e-5)",
     layer_norm(2e-5, NormWeight::heads, false), kOnce},
    {"chameleon", R"("rms_norm_eps": 1e-3)", layer_norm(1e-5, NormWeight::heads, true),
     RoundAfter{.norm = true, .weight = true, .norm_bias = true}},
    {"phi", R"("partial_rotary_factor": 0.5, "qk_layernorm": true)", layer_norm(1e-5, NormWeight::lanes, true),
     RoundAfter{.norm_bias = true}},
};

}  // namespace

TEST_CASE("a prologue has the norms that the model's attention gives q and k, and v beside them") {
  for (const Row& row : kRows) {
    const std::string config = config_of(row.type, row.fields);
    INFO(config);
    const ModelRopes model = ModelRopes::from_hf_config(config, prologue());
    const RopeSpec spec = model.single();
    CHECK(spec.q == normed(16, 128, row.norm));
    REQUIRE(spec.k);
    CHECK(*spec.k == normed(4, 128, row.norm));
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
    CHECK(spec.round_after == row.rounds);
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
}

TEST_CASE("norms that come after the rotation stand behind it, and what was turned is rounded first with parity") {
  const RopeSpec exact = ModelRopes::from_hf_config(config_of("hunyuan_v1_dense"), prologue()).single();
  Operand q = normed(16, 128, rms(1e-5));
  q.order = {StageName::rotate, StageName::norm};
  CHECK(exact.q == q);
  CHECK(exact.k->order == q.order);
  CHECK(*exact.v == Operand{4, 128});
  CHECK(exact.round_after == RoundAfter{});
  const RopeSpec rounded = ModelRopes::from_hf_config(config_of("hunyuan_v1_dense"), prologue(true)).single();
  CHECK(rounded.round_after == RoundAfter{.norm = true, .weight = true, .rotation = true});
}

TEST_CASE("constants and clamps are stages of the operands that models have them on") {
  const RopeSpec falcon =
      ModelRopes::from_hf_config(config_of("falcon_h1", R"("key_multiplier": 0.5)"), prologue(true)).single();
  CHECK_FALSE(falcon.q.scale);
  CHECK(falcon.k->scale == 0.5);
  CHECK(falcon.round_after == RoundAfter{.scale = true});
  for (const char* fields : {R"("key_multiplier": 1.0)", R"("key_multiplier": null)", ""}) {
    const RopeSpec plain = ModelRopes::from_hf_config(config_of("falcon_h1", fields), prologue(true)).single();
    CHECK_FALSE(plain.k->scale);
    CHECK(plain.round_after == RoundAfter{});
  }
  const RopeSpec olmo = ModelRopes::from_hf_config(config_of("olmo", R"("clip_qkv": 8)"), prologue()).single();
  CHECK(olmo.q.clamp == 8.0);
  CHECK(olmo.k->clamp == 8.0);
  CHECK(olmo.v->clamp == 8.0);
  const RopeSpec olmoe = ModelRopes::from_hf_config(config_of("olmoe", R"("clip_qkv": 8)"), prologue()).single();
  CHECK(olmoe.q.norm == of_token(1e-5));
  CHECK(olmoe.q.clamp == 8.0);
  CHECK(olmoe.q.order.empty());
  const RopeSpec filter =
      ModelRopes::from_hf_config(config_of("openai_privacy_filter", R"("rope_scaling": {"rope_type": "default"})"),
                                 prologue(true))
          .single();
  CHECK(filter.q.scale == std::pow(128.0, -0.25));
  CHECK(filter.k->order == std::vector<StageName>{StageName::rotate, StageName::scale});
  CHECK(filter.round_after == RoundAfter{.scale = true, .rotation = true});
}

TEST_CASE("queries grow with their positions where models say so, and in the layers that they say") {
  const std::string ministral =
      config_of("ministral3", R"("rope_parameters": {"rope_type": "default", "rope_theta": 1e6,
                "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 16384})");
  std::string without_theta = ministral;
  without_theta.replace(without_theta.find(R"(, "rope_theta": 10000)"), 21, "");
  const RopeSpec spec = ModelRopes::from_hf_config(without_theta, prologue(true)).single();
  CHECK(spec.q.temperature == Temperature{0.1, 16384, true, 0});
  CHECK_FALSE(spec.k->temperature);
  CHECK(spec.round_after == RoundAfter{.rotation = true, .tau = true});
  const ModelRopes llama = ModelRopes::from_hf_config(
      config_of("llama4_text", R"("no_rope_layers": [1, 1, 0, 1], "floor_scale": 8192, "attn_scale": 0.1)"),
      prologue(true));
  REQUIRE(llama.specs().size() == 2);
  const RopeSpec& turns = *llama.find(0);
  CHECK(turns.q.norm == without_weights(1e-5));
  CHECK(turns.q.order == std::vector<StageName>{StageName::rotate, StageName::norm});
  CHECK_FALSE(turns.q.temperature);
  const RopeSpec& still = *llama.find(2);
  CHECK_FALSE(still.q.norm);
  CHECK(still.q.rotates == false);
  CHECK(still.k->rotates == false);
  CHECK(still.q.temperature == Temperature{0.1, 8192, true, 1});
  CHECK(still.round_after == RoundAfter{});
  const ModelRopes cool = ModelRopes::from_hf_config(
      config_of("llama4_text", R"("no_rope_layers": [1, 1, 0, 1], "attn_temperature_tuning": false)"), prologue());
  CHECK_FALSE(cool.find(2)->q.temperature);
}

TEST_CASE("layers that do not rotate have the rest of their prologue, and the same spec whatever layers rotate by") {
  const ModelRopes exaone =
      ModelRopes::from_hf_config(config_of("exaone4", R"("sliding_window": 4096)"), prologue(true));
  REQUIRE(exaone.specs().size() == 2);
  const RopeSpec& still = *exaone.find(3);
  Operand q = normed(16, 128, rms(1e-5));
  q.rotates = false;
  CHECK(still.q == q);
  CHECK(still.k->rotates == false);
  CHECK(*still.v == Operand{4, 128});
  CHECK(still.round_after == kTwice);
  CHECK(still.scaling == Scaling{NoScaling{}});
  CHECK(exaone.warnings().empty());
  const RopeSpec smol = *ModelRopes::from_hf_config(config_of("smollm3"), prologue()).find(3);
  CHECK_FALSE(smol.q.norm);
  CHECK(smol.q.rotates == false);
  CHECK(ModelRopes::from_hf_config(config_of("smollm3")).find(3) == nullptr);
  const ModelRopes lfm = ModelRopes::from_hf_config(
      config_of("lfm2", R"("layer_types": ["conv", "conv", "full_attention", "conv"])"), prologue());
  CHECK(lfm.find(0) == nullptr);
  CHECK(lfm.find(2) != nullptr);
}

TEST_CASE("Gemma's v has a norm, and layers that share keys and values have q alone") {
  const std::string fields = R"("num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "full_attention",
                                "sliding_attention", "full_attention"])";
  std::string config = config_of("gemma3n_text", fields);
  config.replace(config.find(R"(, "rope_theta": 10000)"), 21, "");
  const ModelRopes model = ModelRopes::from_hf_config(config, prologue(true));
  CHECK(model.specs().size() == 4);
  const RopeSpec& own = *model.find(0);
  CHECK(own.q.norm == rms(1e-6));
  CHECK(own.v->norm == without_weights(1e-6));
  CHECK(own.round_after == kOnce);
  const RopeSpec& shared = *model.find(2);
  CHECK(shared.q == own.q);
  CHECK_FALSE(shared.k);
  CHECK_FALSE(shared.v);
  CHECK(shared.theta == own.theta);
  ModelOptions rotation;
  CHECK(ModelRopes::from_hf_config(config, rotation).specs().size() == 2);
  for (const char* bad : {"5", "-1", "2.5"}) {
    std::string other = config;
    other.replace(other.find(R"("num_kv_shared_layers": 2)"), 25, std::string(R"("num_kv_shared_layers": )") + bad);
    const auto error = error_of([&] { return ModelRopes::from_hf_config(other, prologue()); });
    REQUIRE(error);
    CHECK(contains(error->what(), "num_kv_shared_layers: found"));
  }
}

TEST_CASE("MiMo's v has lanes and heads of its own, and a constant") {
  const std::string config = R"({"model_type": "mimo_v2_flash", "num_attention_heads": 64, "num_key_value_heads": 4,
      "head_dim": 192, "num_hidden_layers": 7)";
  const ModelRopes model = ModelRopes::from_hf_config(config + "}", prologue(true));
  REQUIRE(model.specs().size() == 2);
  CHECK(model.kind(0) == "full_attention");
  CHECK(model.kind(5) == "full_attention");
  const RopeSpec& full = *model.find(0);
  CHECK(full.k->heads == 4);
  CHECK(full.v->heads == 4);
  CHECK(full.v->head_dim == 128);
  CHECK(full.v->scale == 0.707);
  CHECK(full.rotary_dim == 64);
  CHECK(full.theta == 5e6);
  CHECK(full.round_after == RoundAfter{.scale = true});
  const RopeSpec& sliding = *model.find(1);
  CHECK(sliding.k->heads == 8);
  CHECK(sliding.theta == 1e4);
  const RopeSpec plain =
      *ModelRopes::from_hf_config(config + R"(, "attention_value_scale": null, "v_head_dim": 96})", prologue()).find(0);
  CHECK_FALSE(plain.v->scale);
  CHECK(plain.v->head_dim == 96);
}

TEST_CASE("Zaya's L2 norm is over the dtype's own epsilon, and k has a factor of each head") {
  ModelOptions options = prologue(true);
  options.dtype = DType::fp16;
  const std::string config = config_of("zaya", R"("partial_rotary_factor": 0.5, "layer_types": ["hybrid", "hybrid",
      "hybrid", "hybrid"], "rope_parameters": {"hybrid": {"rope_type": "default", "rope_theta": 1e6}})");
  const RopeSpec spec = ModelRopes::from_hf_config(config, options).single();
  REQUIRE(spec.q.norm);
  CHECK(spec.q.norm->kind == NormKind::l2);
  CHECK(spec.q.norm->eps == 0x1p-10);
  CHECK(spec.q.norm->weight == NormWeight::none);
  CHECK(spec.q.scale == std::sqrt(128.0));
  CHECK_FALSE(spec.q.head_scales);
  CHECK(spec.k->head_scales);
}

TEST_CASE("ranks share v as they share k") {
  for (const auto& [tp, q_heads, kv_heads] : {std::array<std::int64_t, 3>{2, 8, 2}, {4, 4, 1}, {16, 1, 1}}) {
    CAPTURE(tp);
    const RopeSpec spec = ModelRopes::from_hf_config(config_of("qwen3"), prologue(false, tp)).single();
    CHECK(spec.q == normed(q_heads, 128, rms(1e-6)));
    CHECK(*spec.k == normed(kv_heads, 128, rms(1e-6)));
    CHECK(*spec.v == Operand{kv_heads, 128});
  }
}

TEST_CASE("models whose projection of q gives a gate behind each head have it copied out, ranks their heads' own") {
  const auto spec_of = [](const char* type, std::int64_t tp) {
    const std::string config = config_of(type, R"("partial_rotary_factor": 0.5)");  // its fourth layer attends
    return ModelRopes::from_hf_config(config, prologue(false, tp)).find(3)->to_json();
  };
  for (const char* type : {"qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"}) {
    INFO(type);
    CHECK(RopeSpec::from_json(spec_of(type, 1)).gate == Operand{16, 128});
    CHECK(RopeSpec::from_json(spec_of(type, 4)).gate == Operand{4, 128});
  }
  CHECK_FALSE(ModelRopes::from_hf_config(config_of("qwen3"), prologue(false, 1)).single().gate);
}

TEST_CASE("ranks that share a norm over all heads are given the sum of squares of all of them") {
  const RopeSpec spec = ModelRopes::from_hf_config(config_of("olmo2"), prologue(false, 8)).single();
  Norm norm = of_token(1e-5);
  norm.statistic = Statistic::given_sum;
  norm.global_heads = 16;
  CHECK(spec.q == normed(2, 128, norm));
  norm.global_heads = 4;  // of which two ranks each have a copy
  CHECK(*spec.k == normed(1, 128, norm));
  const auto error = error_of([] { return ModelRopes::from_hf_config(config_of("esmc"), prologue(false, 2)); });
  REQUIRE(error);
  CHECK(contains(error->what(), "tp: found 2 for esmc, whose LayerNorm is over all heads, allowed: 1"));
}

TEST_CASE("what a prologue cannot have is refused by the name of the model type and of what it has") {
  struct Refused {
    std::string config;
    const char* found;
  };
  const std::string latent = R"("qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "kv_lora_rank": 512)";
  const Refused rows[] = {
      {config_of("timesfm2_5"), "timesfm2_5, whose q is multiplied by learned weights behind its norm"},
      {R"({"model_type": "dory", "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 128,
           "num_hidden_layers": 4})",
       "dory, whose q is multiplied by learned weights behind the rotation"},
      {R"({"model_type": "beam", "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 128,
           "num_hidden_layers": 8})",
       "beam, whose layers without a rotation scale q by a power of the position"},
      {config_of("deepseek_v3", latent), "deepseek_v3, whose attention is latent"},
      {R"({"model_type": "kimi_k25", "text_config": )" + config_of("deepseek_v3", latent) + "}",
       "deepseek_v3, whose attention is latent"},
  };
  for (const Refused& row : rows) {
    INFO(row.config);
    const auto error = error_of([&] { return ModelRopes::from_hf_config(row.config, prologue()); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::unsupported);
    CHECK(contains(error->what(),
                   std::string("prologue: found ") + row.found +
                       ", allowed: families whose attention has a prologue that this version builds (docs/models.md)"));
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
  CHECK(ModelRopes::from_hf_config(config_of("of-next-year"), options).single().q == normed(16, 128, rms(1e-6)));
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

TEST_CASE("a prologue's warnings tell of norms that nothing reads, and of layers and values that are not the usual") {
  struct Told {
    std::string config;
    std::vector<std::string> lines;
  };
  const std::string unread = ", which nothing reads in a model of this type";
  std::string gemma = config_of("gemma4_text", R"("attention_k_eq_v": true, "layer_types": ["sliding_attention",
      "sliding_attention", "sliding_attention", "full_attention"])");
  gemma.replace(gemma.find(R"(, "rope_theta": 10000)"), 21, "");
  const Told rows[] = {
      {config_of("smollm3"), {}},
      {config_of("lfm2", R"("layer_types": ["conv", "conv", "full_attention", "conv"])"), {}},
      {config_of("llama", R"("use_qk_norm": true)"), {"use_qk_norm: found true" + unread}},
      {config_of("llama", R"("use_qk_norm": false, "clip_qkv": null, "key_multiplier": 1)"), {}},
      {config_of("llama", R"("qk_scale_factor": 3.5)"), {"qk_scale_factor: found 3.5" + unread}},
      {config_of("qwen3", R"("use_qk_norm": true)"), {}},
      {config_of("qwen3", R"("qk_norm": false, "clip_qkv": 8)"),
       {"clip_qkv: found 8" + unread, "qk_norm: found false" + unread}},
      {config_of("mllama_text_model", R"("cross_attention_layers": [1])"),
       {"prologue: found 1 of 4 layers whose keys and values come from elsewhere, which have no spec"}},
      {gemma,
       {"attention_k_eq_v: found true: in full layers v is k as it is projected, so launches are given k's address as "
        "v's, and k is written elsewhere than over itself"}},
  };
  for (const Told& row : rows) {
    INFO(row.config);
    CHECK(ModelRopes::from_hf_config(row.config, prologue()).warnings() == row.lines);
    CHECK(ModelRopes::from_hf_config(row.config).warnings().empty());
  }
}

TEST_CASE("callers in other languages ask for a prologue by its name") {
  CHECK(internal::read_model_options(R"({"prologue": true})").prologue);
  CHECK_FALSE(internal::read_model_options("{}").prologue);
}

TEST_CASE("a config of the goldens gives their operands, and its rounding is what transformers' norms do") {
  const std::vector<test::GoldenPrologue> cases = test::read_golden_prologues();
  CHECK(cases.size() >= 45);
  std::size_t elements = 0;
  for (const test::GoldenPrologue& given : cases) {
    INFO(given.name);
    const RopeSpec spec = given.spec(true);
    CHECK(spec.dtype == given.dtype);
    CHECK(spec.q.rotates.value_or(true) == given.rotates());
    if (given.rotates()) CHECK(spec.rotary_dim == given.rotary_dim);
    const auto check = [&](const Operand& operand, const test::GoldenOperand& golden) {
      CHECK(operand.heads == golden.heads);
      CHECK(operand.head_dim == golden.head_dim);
      CHECK(operand.norm.has_value() == !golden.normed.empty());
      if (!operand.norm || operand.norm->kind != NormKind::rms) return;
      const bool of_token = operand.norm->span == NormSpan::token;
      const auto lanes = static_cast<std::size_t>(of_token ? golden.heads * golden.head_dim : golden.head_dim);
      REQUIRE(golden.r.size() * lanes == golden.projected.size());
      if (!operand.order.empty()) return;  // the norm is of what has rotated
      const auto value = [&](internal::ElementBits bits) {
        return static_cast<float>(internal::decode(given.dtype, bits));
      };
      const auto rounded = [&](float x, bool rounds) { return rounds ? value(internal::encode(given.dtype, x)) : x; };
      for (std::size_t i = 0; i < golden.projected.size(); ++i) {
        // A product of two fp32 numbers is one, before it is rounded to the dtype.
        float x = value(golden.projected[i]) * golden.r[i / lanes];
        x = rounded(x, spec.round_after.norm);
        if (!golden.weight.empty()) {
          const float w = value(golden.weight[i % golden.weight.size()]);
          x *= operand.norm->plus_one ? 1.0F + w : w;
        }
        REQUIRE(internal::encode(given.dtype, x) == golden.normed[i]);
        ++elements;
      }
      // The model's reciprocal is within an ulp or two of the exact one.
      for (std::size_t row = 0; row < golden.r.size(); ++row) {
        double sum = 0;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
          const double x = internal::decode(given.dtype, golden.projected[row * lanes + lane]);
          sum += x * x;
        }
        const double exact = 1 / std::sqrt(sum / static_cast<double>(lanes) + operand.norm->eps);
        CHECK(std::fabs(golden.r[row] / exact - 1) < std::ldexp(1.0, -21));
      }
    };
    check(spec.q, given.q);
    check(*spec.k, given.k);
    check(*spec.v, given.v);
  }
  CHECK(elements > 30'000);
}
