// What is wrong with a spec as JSON is told in one line that names the field.
#include <string>

#include "ropejit/spec.hpp"
#include "spec/bad_input.hpp"

using namespace ropejit;
using namespace ropejit::test;

TEST_CASE("a bad spec as JSON names its field") {
  const auto with = [](const char* from, const char* to) { return replaced(kGoodSpec, from, to); };
  const std::string long_key(5000, 'x');
  const BadText rows[] = {
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
      {replaced(kGoodSpec, R"("schema": 1)", R"("schema": 1, ")" + long_key + R"(": 2)"), "...", kParse},
      {replaced(kGoodSpec, "split_half", long_key), "layout", kRange},
  };
  for (const BadText& row : rows) check_refused(row, RopeSpec::from_json);
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
  const BadText rows[] = {
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
  for (const BadText& row : rows) check_refused(row, RopeSpec::from_json);
}

TEST_CASE("bad axes, roundings and output dtypes name their field") {
  const auto spec = [](const std::string& fields, const char* q = "", const char* rope = R"("default")") {
    return R"({"schema": 1, "q": {"heads": 1, "head_dim": 16)" + std::string(q) +
           R"(}, "rope_scaling": {"rope_type": )" + rope + "}, " + fields + "}";
  };
  const auto axes = [&](const std::string& fields) { return spec(R"("axes": {)" + fields + "}"); };
  constexpr const char* kYarn = R"("yarn", "factor": 4, "original_max_position_embeddings": 4096)";
  const BadText rows[] = {
      {spec(R"("axes": [4, 4])"), "axes", kParse},
      {spec(R"("axes": "mrope")"), "axes", kParse},
      {axes(""), "axes.sections", kParse},
      {axes(R"("sections": null)"), "axes.sections", kParse},
      {axes(R"("sections": 8)"), "axes.sections", kParse},
      {axes(R"("sections": {"t": 4})"), "axes.sections", kParse},
      {axes(R"("sections": [4, 4], "mrope": true)"), "axes.mrope", kParse},
      {axes(R"("sections": [8])"), "axes.sections", kRange},
      {axes(R"("sections": [2, 2, 2, 1, 1])"), "axes.sections", kRange},
      {axes(R"("sections": [4, 3])"), "axes.sections", kRange},
      {axes(R"("sections": [4, 5])"), "axes.sections", kRange},
      {axes(R"("sections": [0, 0, 0])"), "axes.sections", kRange},
      {axes(R"("sections": [9, -1])"), "axes.sections[1]", kRange},
      {axes(R"("sections": [9, 0])"), "axes.sections[0]", kRange},
      {axes(R"("sections": [4, 2.5, 1.5])"), "axes.sections[1]", kRange},
      {axes(R"("sections": [4, 1e300])"), "axes.sections[1]", kRange},
      {axes(R"("sections": [4, 9223372036854775807])"), "axes.sections[1]", kRange},
      {axes(R"("sections": [4, "4"])"), "axes.sections[1]", kParse},
      {axes(R"("sections": [4, null])"), "axes.sections[1]", kParse},
      {axes(R"("sections": [[4], 4])"), "axes.sections[0]", kParse},
      {axes(R"("sections": [4, 4], "order": "zigzag")"), "axes.order", kRange},
      {axes(R"("sections": [4, 4], "order": 1)"), "axes.order", kParse},
      {axes(R"("sections": [4, 4], "order": "alternating")"), "axes.sections", kRange},
      {axes(R"("sections": [2, 4, 2], "order": "alternating")"), "axes.sections", kRange},
      {axes(R"("sections": [2, 3, 3], "order": "interleaved")"), "axes.sections[2]", kRange},
      {axes(R"("sections": [], "order": "interleaved")"), "axes.order", kRange},
      {axes(R"("sections": [], "frequencies": "restarted")"), "axes.frequencies", kRange},
      {axes(R"("sections": [4, 4], "frequencies": "fresh")"), "axes.frequencies", kRange},
      {axes(R"("sections": [4, 4], "frequencies": true)"), "axes.frequencies", kParse},
      {spec(R"("axes": {"sections": [4, 4], "frequencies": "restarted"})", "", kYarn), "axes.frequencies", kRange},
      {spec(R"("axes": {"sections": [4, 4], "frequencies": "strided"})", "", R"("ntk", "alpha": 2)"),
       "axes.frequencies", kRange},
      {spec(R"("rope_theta": 1e-250, "axes": {"sections": [0, 0, 1, 7], "frequencies": "strided"})"), "rope_theta",
       kRange},
      {spec(R"("layout": "split_sections")"), "layout", kRange},
      {spec(R"("layout": "split_sections", "axes": {"sections": [2, 6]})"), "layout", kRange},
      {spec(R"("layout_out": "split_sections", "axes": {"sections": [4, 4], "order": "interleaved"})"), "layout_out",
       kRange},
      {spec(R"("rounding": "p4")"), "rounding", kRange},
      {spec(R"("rounding": 1)"), "rounding", kParse},
      {spec(R"("angle": "fp64")"), "angle", kRange},
      {spec(R"("angle": [])"), "angle", kParse},
      {spec(R"("angle": "fp32", "rope_theta": 1e-60)"), "angle", kRange},
      {spec(R"("sine": "Hardware")"), "sine", kRange},
      {spec(R"("sine": true)"), "sine", kParse},
      {spec(R"("cosine": "hardware")"), "cosine", kParse},
      {spec(R"("sine": "hardware")", R"(, "dtype_out": "fp8")"), "q.dtype_out", kRange},
      {spec(R"("sine": "hardware")", R"(, "dtype_out": 32)"), "q.dtype_out", kParse},
      {spec(R"("k": {"heads": 1, "head_dim": 16, "dtype_out": ""})"), "k.dtype_out", kRange},
      {spec(R"("k": {"heads": 1, "head_dim": 16, "rotates": 0})"), "k.rotates", kParse},
      {spec(R"("v": {"heads": 1, "head_dim": 16, "rotates": true})"), "v.rotates", kRange},
      {spec(R"("v": {"head_dim": 16})"), "v.heads", kParse},
      {spec(R"("gate": {"heads": 1, "head_dim": 16, "rotates": true})"), "gate.rotates", kRange},
      {spec(R"("gate": {"head_dim": 16})"), "gate.heads", kParse},
      {spec(R"("gate": {"heads": 1, "head_dim": 16, "first_lane": 2})"), "gate.first_lane", kRange},
      {spec(R"("gate": {"heads": 1, "head_dim": 16, "norm": {}})"), "gate.norm", kRange},
      {spec(R"("gate": {"heads": 1, "head_dim": 16, "bias": true})"), "gate.bias", kRange},
      {spec(R"("gate": {"heads": 1, "head_dim": 16, "clamp": 6})"), "gate.clamp", kRange},
      {spec(R"("gate": {"heads": 1, "head_dim": 16, "scale": 2})"), "gate.scale", kRange},
      {spec(R"("gate": {"heads": 1, "head_dim": 16, "head_scales": true})"), "gate.head_scales", kRange},
      {spec(R"("gate": {"heads": 1, "head_dim": 16, "temperature": {"coefficient": 0.1, "length": 8}})"),
       "gate.temperature", kRange},
      {spec(R"("gate": {"heads": 1, "head_dim": 16, "order": ["rotate"]})"), "gate.order", kRange},
      {spec(R"("k": {"heads": 1, "head_dim": 16, "out": "fp32"})"), "k.out", kParse},
  };
  for (const BadText& row : rows) check_refused(row, RopeSpec::from_json);
  CHECK_NOTHROW(RopeSpec::from_json(axes(R"("sections": [4, 4])")));
}

TEST_CASE("bad norms and rounding points name their field") {
  const auto spec = [](const std::string& q, const std::string& fields = "", int head_dim = 64) {
    return R"({"schema": 1, "rotary_dim": 64, "q": {"heads": 1, "head_dim": )" + std::to_string(head_dim) + q + "}" +
           fields + "}";
  };
  const auto norm = [&](const char* fields) { return spec(R"(, "norm": {)" + std::string(fields) + "}"); };
  const auto rounded = [&](const char* places) {
    return spec(R"(, "norm": {})", R"(, "round_after": )" + std::string(places));
  };
  const BadText rows[] = {
      {spec(R"(, "norm": true)"), "q.norm", kParse},
      {spec(R"(, "norm": 1e-6)"), "q.norm", kParse},
      {spec(R"(, "norm": [])"), "q.norm", kParse},
      {spec(R"(, "norm": "rms")"), "q.norm", kParse},
      {norm(R"("eps": 0)"), "q.norm.eps", kRange},
      {norm(R"("eps": -1e-6)"), "q.norm.eps", kRange},
      {norm(R"("eps": 2)"), "q.norm.eps", kRange},
      {norm(R"("eps": 9e-21)"), "q.norm.eps", kRange},
      {norm(R"("eps": 1e400)"), "q.norm.eps", kRange},
      {norm(R"("eps": NaN)"), "q.norm.eps", kParse},
      {norm(R"("eps": "1e-6")"), "q.norm.eps", kParse},
      {norm(R"("epsilon": 1e-6)"), "q.norm.epsilon", kParse},
      {norm(R"("weight_dtype": "fp64")"), "q.norm.weight_dtype", kRange},
      {norm(R"("weight_dtype": 16)"), "q.norm.weight_dtype", kParse},
      {norm(R"("statistic": "handed_out")"), "q.norm.statistic", kRange},
      {norm(R"("statistic": true)"), "q.norm.statistic", kParse},
      {spec("", R"(, "k": {"heads": 1, "head_dim": 64, "norm": {"eps": 0}})"), "k.norm.eps", kRange},
      {spec("", R"(, "v": {"heads": 1, "head_dim": 64, "norm": {"weight": 1}})"), "v.norm.weight", kParse},
      {spec(R"(, "norm": {})", R"(, "direction": "inverse")"), "q.norm", kRange},
      {spec(R"(, "norm": {})", R"(, "direction": "shift")"), "q.norm", kRange},
      {spec("", R"(, "direction": "inverse", "v": {"heads": 1, "head_dim": 64, "norm": {}})"), "v.norm", kRange},
      {spec(R"(, "norm": {})", "", 2048), "q.norm", kRange},
      {spec(R"(, "norm": {})", "", 1026), "q.norm", kRange},
      {spec("", R"(, "k": {"heads": 1, "head_dim": 2048, "norm": {}})"), "k.norm", kRange},
      {rounded(R"("norm")"), "round_after", kParse},
      {rounded("true"), "round_after", kParse},
      {rounded(R"({"norm": true})"), "round_after", kParse},
      {rounded(R"(["scales"])"), "round_after", kRange},
      {rounded(R"(["tau", "tau"])"), "round_after", kRange},
      {rounded(R"(["norm", "weight", "norm"])"), "round_after", kRange},
      {rounded(R"(["Norm"])"), "round_after", kRange},
      {rounded("[1]"), "round_after", kRange},
      {rounded("[null]"), "round_after", kRange},
  };
  for (const BadText& row : rows) check_refused(row, RopeSpec::from_json);
  CHECK_NOTHROW(RopeSpec::from_json(spec(R"(, "norm": {})", "", 1024)));
  CHECK_NOTHROW(RopeSpec::from_json(norm(R"("eps": 1)")));
  CHECK_NOTHROW(RopeSpec::from_json(norm(R"("eps": 1e-20)")));
}
