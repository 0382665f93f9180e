// Whatever is wrong with a spec, a config or a struct: an Error with one line that names the field, and nothing worse.
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <variant>
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

constexpr auto kParse = ErrorCode::parse_error;
constexpr auto kRange = ErrorCode::invalid_argument;
constexpr auto kUnsupported = ErrorCode::unsupported;

struct Row {
  std::string json;
  const char* field;
  ErrorCode code;
};

void check(const Row& row, const std::function<RopeSpec(std::string_view)>& read) {
  INFO(row.json.substr(0, 300));
  const auto error = error_of([&] { return read(row.json); });
  REQUIRE(error);
  INFO(error->what());
  CHECK(error->code() == row.code);
  CHECK(contains(error->what(), std::string(row.field) + ":"));
  CHECK(ropejit::test::is_one_line(error->what()));
  CHECK(std::string(error->stage()) == "spec");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

const std::string kSpec =
    R"({"schema": 1, "layout": "split_half", "direction": "forward", "dtype": "bf16", "rope_theta": 500000.0, )"
    R"("rotary_dim": 128, "q": {"heads": 32, "head_dim": 128, "first_lane": 0}, "k": {"heads": 8, "head_dim": 128}, )"
    R"("rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, )"
    R"("original_max_position_embeddings": 8192}})";

const std::string kConfig =
    R"({"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8, )"
    R"("head_dim": 128, "rope_theta": 500000.0, "partial_rotary_factor": 1.0, "torch_dtype": "bfloat16", )"
    R"("rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, )"
    R"("original_max_position_embeddings": 8192}})";

// Text that is no JSON object at all: the same for every reader.
std::vector<Row> not_json() {
  std::string deep(100'000, '[');
  std::string deep_objects;
  for (int i = 0; i < 100'000; ++i) deep_objects += R"({"a":)";
  return {
      {"", "JSON", kParse},
      {" \n\t ", "JSON", kParse},
      {"{", "JSON", kParse},
      {"null", "JSON", kParse},
      {"42", "JSON", kParse},
      {"[1, 2]", "JSON", kParse},
      {"\"text\"", "JSON", kParse},
      {"{} {}", "JSON", kParse},
      {"{\"a\": 1,}", "JSON", kParse},
      {"{'a': 1}", "JSON", kParse},
      {"{\"a\": \"unfinished}", "JSON", kParse},
      {"{\"a\": \"\\", "JSON", kParse},
      {"}{", "JSON", kParse},
      {"{\"a\": [1, 2}", "JSON", kParse},
      {"{\"a\": Infinit}", "JSON", kParse},
      {"{\"a\": nan}", "JSON", kParse},
      {"{\"a\": \"\xC3\x28\"}", "JSON", kParse},
      {std::string("\0\0\0", 3), "JSON", kParse},
      {std::string("{\"a\"\0: 1}", 9), "JSON", kParse},
      {deep, "JSON", kParse},
      {"{\"a\": " + deep + std::string(100'000, ']') + "}", "JSON", kParse},
      {deep_objects, "JSON", kParse},
      {std::string((16u << 20) + 1, ' '), "JSON", kParse},
      {R"({"a": 1, "a": 1})", "a", kParse},
      {R"({"outer": [{"b": {}, "b": {}}]})", "b", kParse},
      {R"({"a": 1, "\u0061": 2})", "a", kParse},
      {R"({"\ud83d\ude00": 1, "😀": 2})", "😀", kParse},
      {R"({"\ud800": 1, "\udfff": 2})", "\uFFFD", kParse},
      {R"({"a\nb": 1, "a\nb": 2})", "a\\nb", kParse},
  };
}

}  // namespace

TEST_CASE("the two texts that the tables change are good ones") {
  CHECK(RopeSpec::from_json(kSpec) == RopeSpec::from_hf_config(kConfig));
}

TEST_CASE("text that is not a JSON object is refused by every reader") {
  for (const Row& row : not_json()) {
    check(row, RopeSpec::from_json);
    check(row, RopeSpec::from_hf_config);
  }
}

TEST_CASE("a bad spec as JSON names its field") {
  const auto with = [](const char* from, const char* to) { return replaced(kSpec, from, to); };
  const std::string long_key(5000, 'x');
  const Row rows[] = {
      {with(R"("schema": 1)", R"("schema": 2)"), "schema", kRange},
      {with(R"("schema": 1, )", ""), "schema", kParse},
      {with(R"("schema": 1)", R"("schema": "1")"), "schema", kParse},
      {with(R"("split_half")", R"("halves")"), "layout", kRange},
      {with(R"("split_half")", "7"), "layout", kParse},
      {with(R"("forward")", R"("backward")"), "direction", kRange},
      {with(R"("bf16")", R"("bfloat16")"), "dtype", kRange},
      {with("500000.0", "NaN"), "rope_theta", kParse},
      {with("500000.0", "Infinity"), "rope_theta", kParse},
      {with("500000.0", "-Infinity"), "rope_theta", kParse},
      {with("500000.0", R"("Infinity")"), "rope_theta", kParse},
      {with("500000.0", "1e400"), "rope_theta", kRange},
      {with("500000.0", "-1e400"), "rope_theta", kRange},
      {with("500000.0", "0"), "rope_theta", kRange},
      {with("500000.0", "-10000"), "rope_theta", kRange},
      {with("500000.0", "1e-400"), "rope_theta", kRange},
      {with("500000.0", "5e-324"), "rope_theta", kRange},
      {with("500000.0", "[500000]"), "rope_theta", kParse},
      {with("500000.0", "true"), "rope_theta", kParse},
      {with(R"("rotary_dim": 128)", R"("rotary_dim": 127)"), "rotary_dim", kRange},
      {with(R"("rotary_dim": 128)", R"("rotary_dim": 0)"), "rotary_dim", kRange},
      {with(R"("rotary_dim": 128)", R"("rotary_dim": -2)"), "rotary_dim", kRange},
      {with(R"("rotary_dim": 128)", R"("rotary_dim": 130)"), "rotary_dim", kRange},
      {with(R"("rotary_dim": 128)", R"("rotary_dim": 64.5)"), "rotary_dim", kRange},
      {with(R"("rotary_dim": 128)", R"("rotary_dim": 128, "partial_rotary_factor": 1.0)"), "partial_rotary_factor",
       kRange},
      {with(R"("rotary_dim": 128)", R"("partial_rotary_factor": 1.5)"), "partial_rotary_factor", kRange},
      {with(R"("rotary_dim": 128)", R"("partial_rotary_factor": 0)"), "partial_rotary_factor", kRange},
      {with(R"("rotary_dim": 128)", R"("partial_rotary_factor": 0.01)"), "partial_rotary_factor", kRange},
      {with(R"("rotary_dim": 128)", R"("partial_rotary_factor": 0.26)"), "partial_rotary_factor", kRange},
      {with(R"("q": {"heads": 32)", R"("q": {"heads": 0)"), "q.heads", kRange},
      {with(R"("q": {"heads": 32)", R"("q": {"heads": -1)"), "q.heads", kRange},
      {with(R"("q": {"heads": 32)", R"("q": {"heads": 1000000000000)"), "q.heads", kRange},
      {with(R"("q": {"heads": 32)", R"("q": {"heads": 1e30)"), "q.heads", kRange},
      {with(R"("q": {"heads": 32)", R"("q": {"heads": 9223372036854775808)"), "q.heads", kRange},
      {with(R"("q": {"heads": 32)", R"("q": {"heads": 32.5)"), "q.heads", kRange},
      {with(R"("q": {"heads": 32)", R"("q": {"heads": "32")"), "q.heads", kParse},
      {with(R"("q": {"heads": 32)", R"("q": {"heads": null)"), "q.heads", kParse},
      {with(R"("q": {"heads": 32, )", R"("q": {)"), "q.heads", kParse},
      {with(R"("head_dim": 128, )", ""), "q.head_dim", kParse},
      {with(R"("head_dim": 128)", R"("head_dim": 0)"), "q.head_dim", kRange},
      {with(R"("head_dim": 128)", R"("head_dim": 129)"), "q.head_dim", kRange},
      {with(R"("head_dim": 128)", R"("head_dim": 4098)"), "q.head_dim", kRange},
      {with(R"("head_dim": 128, )", R"("head_dim": 64, )"), "rotary_dim", kRange},
      {with(R"("first_lane": 0)", R"("first_lane": 1)"), "q.first_lane", kRange},
      {with(R"("first_lane": 0)", R"("first_lane": -2)"), "q.first_lane", kRange},
      {with(R"("first_lane": 0)", R"("first_lane": 128)"), "q.first_lane", kRange},
      {with(R"("first_lane": 0)", R"("first_lane": 2)"), "rotary_dim", kRange},
      {with(R"("first_lane": 0)", R"("lanes": 0)"), "q.lanes", kParse},
      {with(R"("q": {"heads": 32, "head_dim": 128, "first_lane": 0}, )", ""), "q", kParse},
      {with(R"("q": {"heads": 32, "head_dim": 128, "first_lane": 0})", R"("q": 32)"), "q", kParse},
      {with(R"("k": {"heads": 8, "head_dim": 128})", R"("k": {"heads": 8, "head_dim": 64})"), "rotary_dim", kRange},
      {with(R"("k": {"heads": 8, "head_dim": 128})", R"("k": {"heads": 8})"), "k.head_dim", kParse},
      {with(R"("k": {"heads": 8)", R"("k": {"heads": 65537)"), "k.heads", kRange},
      {with(R"("k": {"heads": 8, "head_dim": 128})", R"("k": [])"), "k", kParse},
      {with("llama3", "su"), "rope_scaling.rope_type", kUnsupported},
      {with("llama3", "Llama3"), "rope_scaling.rope_type", kUnsupported},
      {with(R"("rope_type": "llama3", )", ""), "rope_scaling.rope_type", kParse},
      {with(R"("rope_type")", R"("type")"), "rope_scaling.rope_type", kParse},
      {with(R"("factor": 8.0, )", ""), "rope_scaling.factor", kParse},
      {with(R"("low_freq_factor": 1.0, )", ""), "rope_scaling.low_freq_factor", kParse},
      {with(R"("high_freq_factor": 4.0, )", ""), "rope_scaling.high_freq_factor", kParse},
      {with(R"(, "original_max_position_embeddings": 8192)", ""), "rope_scaling.original_max_position_embeddings",
       kParse},
      {with("8.0", "0"), "rope_scaling.factor", kRange},
      {with("8.0", "-2"), "rope_scaling.factor", kRange},
      {with("8.0", "1e999"), "rope_scaling.factor", kRange},
      {with("8.0", "NaN"), "rope_scaling.factor", kParse},
      {with("8.0", "null"), "rope_scaling.factor", kParse},
      {with("8.0", "5e-324"), "rope_theta", kRange},
      {with("1.0,", "0,"), "rope_scaling.low_freq_factor", kRange},
      {with("1.0,", "5,"), "rope_scaling.low_freq_factor", kRange},
      {with("8192", "0"), "rope_scaling.original_max_position_embeddings", kRange},
      {with("8192", "8192.5"), "rope_scaling.original_max_position_embeddings", kRange},
      {with("8192", "9007199254740993"), "rope_scaling.original_max_position_embeddings", kRange},
      {with(R"("factor": 8.0)", R"("factor": 8.0, "attention_factor": 1)"), "rope_scaling.attention_factor", kParse},
      {with(R"("schema": 1)", R"("schema": 1, "max_length": 0)"), "max_length", kRange},
      {with(R"("schema": 1)", R"("schema": 1, "max_length": 1.5)"), "max_length", kRange},
      {with(R"("schema": 1)", R"("schema": 1, "max_length": "4096")"), "max_length", kParse},
      {with("rope_theta", "theta"), "theta", kParse},
      {with(R"("schema": 1)", R"("schema": 1, "a\u0007\nb": 2)"), "a\\x07\\nb", kParse},
      {with("split_half", "\\n\\u001b[31m"), "layout", kRange},
      {replaced(kSpec, R"("schema": 1)", R"("schema": 1, ")" + long_key + R"(": 2)"), "...", kParse},
      {replaced(kSpec, "split_half", long_key), "layout", kRange},
  };
  for (const Row& row : rows) check(row, RopeSpec::from_json);
}

TEST_CASE("a bad scaling dictionary names its field") {
  const auto spec = [](const std::string& scaling, const char* rest = "") {
    return R"({"schema": 1, "q": {"heads": 1, "head_dim": 4}, )" + std::string(rest) +
           R"("rope_scaling": {"rope_type": )" + scaling + "}}";
  };
  const auto yarn = [&](const std::string& fields, const char* rest = "") {
    return spec(R"("yarn", "factor": 4, "original_max_position_embeddings": 4096, )" + fields, rest);
  };
  const auto longrope = [&](const std::string& lists, const std::string& fields = R"("factor": 4)") {
    return spec(R"("longrope", "original_max_position_embeddings": 4096, )" + lists + ", " + fields);
  };
  const char* const two = R"("short_factor": [1, 2], "long_factor": [1, 2])";
  const Row rows[] = {
      {spec(R"("dynamic", "factor": 2)"), "rope_scaling.max_position_embeddings", kParse},
      {spec(R"("dynamic", "max_position_embeddings": 2048)"), "rope_scaling.factor", kParse},
      {spec(R"("dynamic", "factor": 0, "max_position_embeddings": 2048)"), "rope_scaling.factor", kRange},
      {spec(R"("dynamic", "factor": 2, "max_position_embeddings": 0)"), "rope_scaling.max_position_embeddings", kRange},
      {spec(R"("dynamic", "factor": 2, "max_position_embeddings": 2048)", R"("rotary_dim": 2, )"), "rotary_dim",
       kRange},
      {spec(R"("ntk")"), "rope_scaling.alpha", kParse},
      {spec(R"("ntk", "alpha": -1)"), "rope_scaling.alpha", kRange},
      {spec(R"("ntk", "alpha": NaN)"), "rope_scaling.alpha", kParse},
      {spec(R"("ntk", "alpha": 2, "factor": 2)"), "rope_scaling.factor", kParse},
      {spec(R"("ntk", "alpha": 2)", R"("rotary_dim": 2, )"), "rotary_dim", kRange},
      {spec(R"("yarn", "original_max_position_embeddings": 4096)"), "rope_scaling.factor", kParse},
      {spec(R"("yarn", "factor": 4)"), "rope_scaling.original_max_position_embeddings", kParse},
      {spec(R"("yarn", "factor": 0, "original_max_position_embeddings": 4096)"), "rope_scaling.factor", kRange},
      {spec(R"("yarn", "factor": NaN, "original_max_position_embeddings": 4096)"), "rope_scaling.factor", kParse},
      {yarn(R"("beta_fast": 0)"), "rope_scaling.beta_fast", kRange},
      {yarn(R"("beta_slow": -1)"), "rope_scaling.beta_slow", kRange},
      {yarn(R"("beta_fast": 1, "beta_slow": 2)"), "rope_scaling.beta_fast", kRange},
      {yarn(R"("truncate": 1)"), "rope_scaling.truncate", kParse},
      {yarn(R"("attention_factor": 0)"), "rope_scaling.attention_factor", kRange},
      {yarn(R"("attention_factor": -1)"), "rope_scaling.attention_factor", kRange},
      {yarn(R"("attention_factor": 1e7)"), "rope_scaling", kRange},
      {yarn(R"("attention_factor": 1e-7)"), "rope_scaling", kRange},
      {yarn(R"("attn_factor": 0)"), "rope_scaling.attn_factor", kRange},
      {yarn(R"("attn_factor": 1e300)"), "rope_scaling", kRange},
      {yarn(R"("mscale": -1)"), "rope_scaling.mscale", kRange},
      {yarn(R"("mscale": 1e7)"), "rope_scaling.mscale", kRange},
      {yarn(R"("mscale_all_dim": -0.5)"), "rope_scaling.mscale_all_dim", kRange},
      {yarn(R"("extrapolation_factor": 1.5)"), "rope_scaling.extrapolation_factor", kRange},
      {yarn(R"("extrapolation_factor": -0.5)"), "rope_scaling.extrapolation_factor", kRange},
      {yarn(R"("scale_softmax": "yes")"), "rope_scaling.scale_softmax", kParse},
      {yarn(R"("ext_factor": 1)"), "rope_scaling.ext_factor", kParse},
      {yarn(R"("truncate": true)", R"("rope_theta": 1, )"), "rope_theta", kRange},
      {yarn(R"("truncate": true)", R"("rope_theta": 0.5, )"), "rope_theta", kRange},
      {spec(R"("deepseek_yarn", "factor": 4, "original_max_position_embeddings": 4096, "truncate": false)"),
       "rope_scaling.truncate", kParse},
      {spec(R"("deepseek_yarn", "factor": -4, "original_max_position_embeddings": 4096)"), "rope_scaling.factor",
       kRange},
      {spec(R"("deepseek_yarn", "factor": 4, "original_max_position_embeddings": 4096)", R"("rope_theta": 1, )"),
       "rope_theta", kRange},
      {longrope(R"("long_factor": [1, 2])"), "rope_scaling.short_factor", kParse},
      {longrope(R"("short_factor": [1, 2])"), "rope_scaling.long_factor", kParse},
      {longrope(R"("short_factor": 1, "long_factor": [1, 2])"), "rope_scaling.short_factor", kParse},
      {longrope(R"("short_factor": [1, 2, 3], "long_factor": [1, 2])"), "rope_scaling.short_factor", kRange},
      {longrope(R"("short_factor": [1, 2], "long_factor": [])"), "rope_scaling.long_factor", kRange},
      {longrope(R"("short_factor": [1, 0], "long_factor": [1, 2])"), "rope_scaling.short_factor[1]", kRange},
      {longrope(R"("short_factor": [1, 2], "long_factor": [-1, 2])"), "rope_scaling.long_factor[0]", kRange},
      {longrope(R"("short_factor": [1, "2"], "long_factor": [1, 2])"), "rope_scaling.short_factor[1]", kParse},
      {longrope(two, R"("factor": 0)"), "rope_scaling.factor", kRange},
      {longrope(two, R"("short_mscale": 1)"), "rope_scaling.factor", kParse},
      {longrope(two, R"("factor": 4, "attention_factor": 0)"), "rope_scaling.attention_factor", kRange},
      {longrope(two, R"("factor": 4, "long_mscale": 1e9)"), "rope_scaling", kRange},
      {spec(R"("longrope", "factor": 4, "original_max_position_embeddings": 1, )" + std::string(two)),
       "rope_scaling.original_max_position_embeddings", kRange},
      {spec(R"("proportional")"), "rope_scaling.partial_rotary_factor", kParse},
      {spec(R"("proportional", "partial_rotary_factor": 1.5)"), "rope_scaling.partial_rotary_factor", kRange},
      {spec(R"("proportional", "partial_rotary_factor": 0.5, "factor": 0)"), "rope_scaling.factor", kRange},
      {spec(R"("inv_freq")"), "rope_scaling.inv_freq", kParse},
      {spec(R"("inv_freq", "inv_freq": [1])"), "rope_scaling.inv_freq", kRange},
      {spec(R"("inv_freq", "inv_freq": [1, -0.5])"), "rope_scaling.inv_freq[1]", kRange},
      {spec(R"("inv_freq", "inv_freq": [1, 1e301])"), "rope_scaling.inv_freq[1]", kRange},
      {spec(R"("inv_freq", "inv_freq": [1, NaN])"), "rope_scaling.inv_freq[1]", kParse},
      {spec(R"("inv_freq", "inv_freq": [1, 2], "attention_factor": -1)"), "rope_scaling.attention_factor", kRange},
  };
  for (const Row& row : rows) check(row, RopeSpec::from_json);
}

TEST_CASE("a bad config names its field") {
  const auto with = [](const char* from, const char* to) { return replaced(kConfig, from, to); };
  const Row rows[] = {
      {"{}", "num_attention_heads", kParse},
      {R"({"num_attention_heads": 8})", "hidden_size", kParse},
      {R"({"num_attention_heads": 8, "hidden_size": 0})", "hidden_size", kRange},
      {R"({"num_attention_heads": 8, "hidden_size": 1001})", "hidden_size", kRange},
      {R"({"num_attention_heads": 8, "hidden_size": 1e300})", "hidden_size", kRange},
      {R"({"num_attention_heads": 8, "hidden_size": 8})", "head_dim", kRange},
      {R"({"num_attention_heads": 8, "hidden_size": 1000})", "head_dim", kRange},
      {R"({"num_attention_heads": 1, "hidden_size": 8192})", "head_dim", kRange},
      {R"({"text_config": {"hidden_size": 64}})", "num_attention_heads", kParse},
      {R"({"text_config": 3})", "text_config", kParse},
      {R"({"text_config": {"num_attention_heads": -1}})", "text_config.num_attention_heads", kRange},
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
      {R"({"num_attention_heads": 8, "head_dim": 64, "rope_scaling": {"type": "linear"}})", "rope_scaling.factor",
       kParse},
      {R"({"num_attention_heads": 8, "head_dim": 64, "rope_scaling": "linear"})", "rope_scaling", kParse},
      {R"({"num_attention_heads": 8, "head_dim": 64, "rope_scaling": {"factor": 2}})", "rope_scaling.rope_type",
       kParse},
      {R"({"num_attention_heads": 8, "head_dim": 64, "model_type": 5})", "model_type", kParse},
  };
  for (const Row& row : rows) check(row, RopeSpec::from_hf_config);
}

TEST_CASE("a quarter of 100 lanes is told in full") {
  const auto error = error_of([] {
    return RopeSpec::from_hf_config(R"({"num_attention_heads": 8, "head_dim": 100, "partial_rotary_factor": 0.25})");
  });
  REQUIRE(error);
  CHECK(std::string(error->what()) ==
        "partial_rotary_factor: found 0.25 of head_dim 100, which gives rotary_dim 25, allowed: an even number from 2 "
        "to 100");
}

TEST_CASE("a bad struct names its field") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  struct Change {
    const char* field;
    std::function<void(RopeSpec&)> change;
  };
  const Change changes[] = {
      {"layout", [](RopeSpec& s) { s.layout = static_cast<Layout>(2); }},
      {"direction", [](RopeSpec& s) { s.direction = static_cast<Direction>(-1); }},
      {"dtype", [](RopeSpec& s) { s.dtype = static_cast<DType>(99); }},
      {"rope_theta", [&](RopeSpec& s) { s.theta = nan; }},
      {"rope_theta", [&](RopeSpec& s) { s.theta = inf; }},
      {"rope_theta", [&](RopeSpec& s) { s.theta = -inf; }},
      {"rope_theta", [](RopeSpec& s) { s.theta = 0; }},
      {"rope_theta", [](RopeSpec& s) { s.theta = -0.0; }},
      {"rope_theta", [](RopeSpec& s) { s.theta = -5; }},
      {"rope_theta", [](RopeSpec& s) { s.theta = std::numeric_limits<double>::denorm_min(); }},
      {"rotary_dim", [](RopeSpec& s) { s.rotary_dim = 0; }},
      {"rotary_dim", [](RopeSpec& s) { s.rotary_dim = -64; }},
      {"rotary_dim", [](RopeSpec& s) { s.rotary_dim = 63; }},
      {"rotary_dim", [](RopeSpec& s) { s.rotary_dim = 130; }},
      {"rotary_dim", [](RopeSpec& s) { s.rotary_dim = std::numeric_limits<std::int64_t>::max(); }},
      {"q.heads", [](RopeSpec& s) { s.q.heads = 0; }},
      {"q.heads", [](RopeSpec& s) { s.q.heads = 65537; }},
      {"q.head_dim", [](RopeSpec& s) { s.q.head_dim = 0; }},
      {"q.head_dim", [](RopeSpec& s) { s.q.head_dim = 4098; }},
      {"q.head_dim", [](RopeSpec& s) { s.q.head_dim = 127; }},
      {"q.first_lane", [](RopeSpec& s) { s.q.first_lane = 1; }},
      {"q.first_lane", [](RopeSpec& s) { s.q.first_lane = std::numeric_limits<std::int64_t>::min(); }},
      {"q.first_lane", [](RopeSpec& s) { s.q.first_lane = 130; }},
      {"rotary_dim", [](RopeSpec& s) { s.q.first_lane = 2; }},
      {"k.heads", [](RopeSpec& s) { s.k->heads = -1; }},
      {"k.head_dim", [](RopeSpec& s) { s.k->head_dim = 3; }},
      {"k.first_lane", [](RopeSpec& s) { s.k->first_lane = 4096; }},
      {"rotary_dim", [](RopeSpec& s) { s.k->head_dim = 64; }},
      {"rope_scaling.factor", [](RopeSpec& s) { s.scaling = LinearScaling{0}; }},
      {"rope_scaling.factor", [&](RopeSpec& s) { s.scaling = LinearScaling{nan}; }},
      {"rope_scaling.factor",
       [&](RopeSpec& s) {
         s.scaling = Llama3Scaling{inf, 1, 4, 8192};
       }},
      {"rope_scaling.low_freq_factor",
       [](RopeSpec& s) {
         s.scaling = Llama3Scaling{8, -1, 4, 8192};
       }},
      {"rope_scaling.low_freq_factor",
       [](RopeSpec& s) {
         s.scaling = Llama3Scaling{8, 4.5, 4, 8192};
       }},
      {"rope_scaling.high_freq_factor",
       [&](RopeSpec& s) {
         s.scaling = Llama3Scaling{8, 1, inf, 8192};
       }},
      {"rope_scaling.high_freq_factor",
       [&](RopeSpec& s) {
         s.scaling = Llama3Scaling{8, 1, nan, 8192};
       }},
      {"rope_scaling.original_max_position_embeddings",
       [](RopeSpec& s) {
         s.scaling = Llama3Scaling{8, 1, 4, 0};
       }},
      {"max_length", [](RopeSpec& s) { s.max_length = 0; }},
      {"max_length", [](RopeSpec& s) { s.max_length = -4096; }},
      {"rope_scaling.factor",
       [&](RopeSpec& s) {
         s.scaling = DynamicScaling{nan, 2048};
       }},
      {"rope_scaling.alpha", [&](RopeSpec& s) { s.scaling = NtkScaling{inf}; }},
      {"rope_scaling.factor",
       [&](RopeSpec& s) {
         s.scaling = YarnScaling{nan, 4096};
       }},
      {"rope_scaling.beta_slow",
       [&](RopeSpec& s) {
         s.scaling = YarnScaling{4, 4096, 32, nan};
       }},
      {"rope_scaling.attention_factor", [&](RopeSpec& s) { s.scaling = YarnScaling{4, 4096, 32, 1, true, nan}; }},
      {"rope_scaling.mscale", [&](RopeSpec& s) { s.scaling = YarnScaling{4, 4096, 32, 1, true, std::nullopt, nan}; }},
      {"rope_scaling.extrapolation_factor",
       [&](RopeSpec& s) { s.scaling = DeepseekYarnScaling{4, 4096, 32, 1, 1, 1, nan}; }},
      {"rope_scaling.short_factor",
       [](RopeSpec& s) { s.scaling = LongRopeScaling{{}, {}, 4096, 4.0, std::nullopt, std::nullopt, std::nullopt}; }},
      {"rope_scaling.partial_rotary_factor",
       [&](RopeSpec& s) {
         s.scaling = ProportionalScaling{1, nan};
       }},
      {"rope_scaling.inv_freq[63]",
       [&](RopeSpec& s) {
         s.scaling = InvFreqScaling{std::vector<double>(64, 1.0), std::nullopt};
         std::get<InvFreqScaling>(s.scaling).inv_freq[63] = nan;
       }},
  };
  const RopeSpec good = RopeSpec::from_json(kSpec);
  for (const Change& row : changes) {
    RopeSpec spec = good;
    row.change(spec);
    INFO(spec.to_string());
    for (const bool as_json : {false, true}) {
      const auto error = error_of([&] {
        if (as_json) {
          spec.to_json();
        } else {
          spec.validate();
        }
        return 0;
      });
      REQUIRE(error);
      INFO(error->what());
      CHECK(error->code() == kRange);
      CHECK(contains(error->what(), std::string(row.field) + ":"));
      CHECK(ropejit::test::is_one_line(error->what()));
    }
  }
}

TEST_CASE("no truncation, deletion or change of one byte does more than throw an Error") {
  const auto survives = [](const std::string& text) {
    for (const auto& read : {RopeSpec::from_hf_config, RopeSpec::from_json}) {
      try {
        const RopeSpec spec = read(text);
        spec.validate();
        CHECK(RopeSpec::from_json(spec.to_json()) == spec);
      } catch (const Error& error) {
        if (!ropejit::test::is_one_line(error.what())) FAIL("not one line: " << error.what());
      }
    }
  };
  for (const std::string& text : {ropejit::test::read_test_file("data/models/llama-3.1-8b.json"), kSpec}) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      survives(text.substr(0, i));
      survives(std::string(text).erase(i, 1));
      for (const char c : {'"', '{', ']', '\\', '-', 'e', '9', '\0', '\xFF'}) {
        std::string changed = text;
        changed[i] = c;
        survives(changed);
      }
    }
  }
}
