// Models of several parts: which is the language model, and which have a rotation that nothing builds.
#include <string>
#include <vector>

#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using ropejit::test::contains;
using ropejit::test::error_of;

namespace {

const std::string kHeads =
    R"("hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 4, "num_hidden_layers": 2)";
const std::string kLlama = R"({"model_type": "llama", "rope_theta": 5e5, )" + kHeads + "}";

ModelRopes model_of(const std::string& fields) { return ModelRopes::from_hf_config("{" + fields + "}"); }

}  // namespace

TEST_CASE("the language model is found under each of its names") {
  for (const char* name : {"text_config", "llm_config", "language_config", "decoder_config", "decoder"}) {
    INFO(name);
    const std::string part = "\"" + std::string(name) + "\": " + kLlama;
    CHECK(model_of(R"("model_type": "llava", )" + part).single().theta == 5e5);
    for (const char* wrapper : {"thinker_config", "vlm_config", "talker_config"}) {
      INFO(wrapper);
      const ModelRopes model = model_of(R"("model_type": "llava", ")" + std::string(wrapper) +
                                        R"(": {"model_type": "llava", )" + part + "}");
      CHECK(model.single().theta == 5e5);
      CHECK(model.warnings().empty());
    }
  }
}

TEST_CASE("a file whose layers stand in a part that is not the language model is told of that part") {
  for (const char* name : {"audio_config", "depth_decoder_config", "of_next_year"}) {
    INFO(name);
    const auto error = error_of([&] { model_of(R"("model_type": "llava", ")" + std::string(name) + "\": " + kLlama); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == ErrorCode::unsupported);
    CHECK(contains(error->what(), name));
    CHECK_FALSE(contains(error->what(), "num_hidden_layers: missing"));
    CHECK(ropejit::test::is_one_line(error->what()));
  }
}

TEST_CASE("a file that tells of its language model twice must say the same") {
  const auto twice = [](const std::string& outer, const std::string& inner) {
    return model_of(R"("model_type": "llama", )" + kHeads + outer + R"(, "language_config": {)" + inner + "}");
  };
  CHECK(twice(R"(, "rope_theta": 5e5)", R"("rope_theta": 500000, "num_attention_heads": 16)").single().theta == 5e5);
  CHECK(twice("", R"("vocab_size": 7)").warnings().empty());
  struct Row {
    const char* outer;
    const char* inner;
    const char* field;
  };
  const Row rows[] = {
      {R"(, "rope_theta": 5e5)", R"("rope_theta": 1e6)", "language_config.rope_theta"},
      {"", R"("rope_theta": 1e6)", "language_config.rope_theta"},
      {"", R"("num_key_value_heads": 8)", "language_config.num_key_value_heads"},
      {"", R"("rope_scaling": {"type": "linear", "factor": 2})", "language_config.rope_scaling"},
      {"", R"("use_mla": false)", "language_config.use_mla"},
  };
  for (const Row& row : rows) {
    INFO(row.inner);
    const auto error = error_of([&] { twice(row.outer, row.inner); });
    REQUIRE(error);
    CHECK(contains(error->what(), row.field));
    CHECK(ropejit::test::is_one_line(error->what()));
  }
}

TEST_CASE("parts with a rotation of their own that nothing builds are told of by name") {
  struct Row {
    std::string fields;
    std::vector<const char*> told;  // in order
  };
  const std::string csm = R"("model_type": "csm", "head_dim": 64, "rope_theta": 5e5, )" + kHeads;
  const std::string moshi = R"("model_type": "moshi", )" + kHeads;
  const std::string omni = R"("model_type": "qwen2_5_omni", "thinker_config": {"model_type": "qwen2_5_omni_thinker",
      "text_config": {"model_type": "qwen2_5_omni_text", "rope_theta": 1e6, "rope_scaling": {"type": "mrope",
      "mrope_section": [8, 12, 12]}, )" +
                           kHeads + "}}";
  const std::string text = R"("text_config": )" + kLlama;
  const std::string plain = R"("model_type": "llama", )" + kHeads;
  const Row rows[] = {
      {csm +
           R"(, "depth_decoder_config": {"model_type": "csm_depth_decoder_model"}, "codec_config": {"model_type": "mimi"})",
       {"codec_config: found \"mimi\"", "depth_decoder_config: found \"csm_depth_decoder_model\""}},
      {csm + R"(, "depth_decoder_config": {"num_attention_heads": 8})",
       {"codec_config: found nothing", "depth_decoder_config: found \"csm_depth_decoder_model\""}},
      {csm, {"codec_config: found nothing", "depth_decoder_config: found nothing"}},
      {moshi +
           R"(, "audio_encoder_config": {"model_type": "mimi"}, "depth_decoder_config": {"model_type": "moshi_depth"})",
       {"audio_encoder_config: found \"mimi\""}},
      {R"("model_type": "glmasr", "audio_config": {"model_type": "glmasr_encoder"}, )" + text,
       {"audio_config: found \"glmasr_encoder\""}},
      {R"("model_type": "glmasr", "audio_config": {}, )" + text, {"audio_config: found \"glmasr_encoder\""}},
      {R"("model_type": "voxtral_realtime", "audio_config": {"model_type": "voxtral_realtime_encoder"}, )" + text,
       {"audio_config: found \"voxtral_realtime_encoder\""}},
      {R"("model_type": "voxtral", "audio_config": {"model_type": "voxtral_encoder"}, )" + text, {}},
      {omni + R"(, "talker_config": {"model_type": "qwen2_5_omni_talker"}, "token2wav_config": {})",
       {"talker_config: found \"qwen2_5_omni_talker\"", "token2wav_config: found \"qwen2_5_omni_token2wav\""}},
      {plain + R"(, "audio_config": {"model_type": "of_next_year"})",
       {"audio_config: found \"of_next_year\", a part that"}},
      {plain + R"(, "audio_config": {"model_type": "whisper"})", {}},
      {plain + R"(, "audio_config": {"model_type": "mistral"})", {"audio_config: found \"mistral\", whose rotation"}},
      {plain + R"(, "audio_config": {"model_type": "whisper", "rope_theta": 1e4})", {"audio_config: found an object"}},
      {plain + R"(, "of_next_year": {"rope_theta": 7e4})", {"of_next_year: found an object that speaks of a rotation"}},
      {plain + R"(, "of_next_year": {"inner": {"rotary_dim": 8}})", {"of_next_year: found"}},
      {plain + R"(, "of_next_year": {"position_embedding_type": "rope"})", {"of_next_year: found"}},
      {plain + R"(, "of_next_year": {"position_embedding_type": "learned", "use_rope": false, "rope_theta": null})",
       {}},
      {plain + R"(, "quantization_config": {"bits": 4}, "rope_scaling": {"type": "linear", "factor": 2})", {}},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const std::vector<std::string> warnings = model_of(row.fields).warnings();
    REQUIRE(warnings.size() == row.told.size());
    for (std::size_t i = 0; i < warnings.size(); ++i) {
      INFO(warnings[i]);
      CHECK(contains(warnings[i], row.told[i]));
      CHECK(ropejit::test::is_one_line(warnings[i]));
    }
  }
}

TEST_CASE("a tower that says of its positions what its own code does not do is told of, and not built") {
  struct Row {
    const char* tower;
    std::int64_t layers;
    bool told;
  };
  const Row rows[] = {
      {R"("model_type": "siglip_vision_model", "position_embedding_type": "rope")", 0, true},
      {R"("model_type": "clip_vision_model", "position_embedding_type": "rotary")", 0, true},
      {R"("model_type": "siglip_vision_model", "position_embedding_type": "learned")", 0, false},
      {R"("model_type": "siglip_vision_model")", 0, false},
      {R"("model_type": "pixtral", "position_embedding_type": "rope")", 24, false},
      {R"("model_type": "pixtral", "position_embedding_type": "learned")", 0, true},
      {R"("model_type": "of_next_year", "position_embedding_type": "rope")", 0, true},
  };
  for (const Row& row : rows) {
    INFO(row.tower);
    const ModelRopes model =
        model_of(R"("model_type": "llava", "text_config": )" + kLlama + R"(, "vision_config": {)" + row.tower + "}");
    CHECK(model.layers(RopeRole::vision) == row.layers);
    REQUIRE(model.warnings().size() == (row.told ? 1 : 0));
    if (row.told) CHECK(contains(model.warnings().front(), "vision_config."));
  }
}

TEST_CASE("a model whose config turns its rotation off is refused, by the key that does") {
  struct Row {
    std::string fields;
    const char* field;  // null: read
  };
  const std::string granite = R"("model_type": "granitemoehybrid", "layer_types": ["mamba", "attention"], )" + kHeads;
  const std::string zamba =
      R"("model_type": "zamba2", "head_dim": 64, "layers_block_type": ["mamba", "hybrid"], )" + kHeads;
  const std::string esm = R"("model_type": "esm", )" + kHeads;
  const Row rows[] = {
      {granite + R"(, "position_embedding_type": "rope")", nullptr},
      {granite + R"(, "position_embedding_type": null)", "position_embedding_type: found null"},
      {granite + R"(, "position_embedding_type": "nope")", "position_embedding_type: found \"nope\""},
      {granite, "position_embedding_type: missing"},
      {zamba + R"(, "use_mem_rope": true)", nullptr},
      {zamba + R"(, "use_mem_rope": false)", "use_mem_rope: found false"},
      {zamba, "use_mem_rope: missing"},
      {esm + R"(, "position_embedding_type": "rotary")", nullptr},
      {esm + R"(, "position_embedding_type": "absolute")", "position_embedding_type: found \"absolute\""},
      {esm, "position_embedding_type: missing"},
      {R"("model_type": "granite", "position_embedding_type": null, )" + kHeads, nullptr},
  };
  for (const Row& row : rows) {
    INFO(row.fields);
    const auto error = error_of([&] { model_of(row.fields); });
    REQUIRE(error.has_value() == (row.field != nullptr));
    if (!error) continue;
    CHECK(contains(error->what(), row.field));
    CHECK(ropejit::test::is_one_line(error->what()));
  }
}

TEST_CASE("DeepSeek-OCR's attention is a Llama's, where use_mla is false") {
  const std::string fields = R"("hidden_size": 1280, "num_attention_heads": 10, "num_key_value_heads": 10,
      "num_hidden_layers": 2, "kv_lora_rank": null, "q_lora_rank": null, "qk_nope_head_dim": 0, "qk_rope_head_dim": 0,
      "v_head_dim": 0, "use_mla": false)";
  const std::string nested = R"("model_type": "deepseek_vl_v2", "language_config": {)" + fields + "}";
  for (const std::string& text : {nested, nested + ", " + fields, R"("model_type": "deepseek_v2", )" + fields}) {
    INFO(text);
    const RopeSpec spec = model_of(text).single();
    CHECK(spec.layout == Layout::split_half);
    CHECK_FALSE(spec.layout_out.has_value());
    CHECK(spec.rotary_dim == 128);
    CHECK(spec.q == Operand{10, 128, 0});
    CHECK(*spec.k == Operand{10, 128, 0});
    CHECK(spec.theta == 1e4);
  }
  const auto error = error_of([&] { model_of(R"("model_type": "deepseek_v3", )" + fields); });
  REQUIRE(error);
  CHECK(contains(error->what(), "use_mla: found false"));
  const auto plain = error_of([&] { model_of(R"("model_type": "llama", "use_mla": true, )" + kHeads); });
  REQUIRE(plain);
  CHECK(contains(plain->what(), "use_mla: found true"));
}
