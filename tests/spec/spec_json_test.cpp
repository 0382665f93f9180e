#include <cmath>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "ropejit/spec.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using ropejit::test::contains;

namespace {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::int64_t integer(std::int64_t min, std::int64_t max) {
    return std::uniform_int_distribution<std::int64_t>(min, max)(engine_);
  }
  std::int64_t even(std::int64_t min, std::int64_t max) { return 2 * integer(min / 2, max / 2); }
  /// Any magnitude, all 53 bits in use.
  double positive(double log2_min, double log2_max) {
    return std::exp2(std::uniform_real_distribution<double>(log2_min, log2_max)(engine_));
  }

  std::int64_t length() { return integer(1, std::int64_t{1} << integer(1, 53)); }
  bool coin() { return integer(0, 1) == 1; }
  std::optional<double> maybe(double value) { return coin() ? std::optional<double>(value) : std::nullopt; }
  double scale() { return positive(-19, 19); }
  std::vector<double> list(std::int64_t size, double log2_min, double log2_max) {
    std::vector<double> values;
    for (std::int64_t i = 0; i < size; ++i) values.push_back(positive(log2_min, log2_max));
    return values;
  }

  /// The rule of that alternative of Scaling. Changes what of the spec would not go with it.
  Scaling scaling(std::int64_t rule, RopeSpec& spec) {
    const std::int64_t pairs = spec.rotary_dim / 2;
    switch (rule) {
      case 1: return LinearScaling{positive(-100, 1000)};
      case 2: {
        const double low = positive(-50, 50);
        return Llama3Scaling{positive(-100, 1000), low, coin() ? low : low * positive(0, 30), length()};
      }
      case 3: return pairs > 1 ? Scaling{DynamicScaling{positive(-20, 20), length()}} : Scaling{NoScaling{}};
      case 4: return pairs > 1 ? Scaling{NtkScaling{positive(-100, 1000)}} : Scaling{NoScaling{}};
      case 5: {
        spec.theta = positive(0.1, 1000);
        YarnScaling yarn;
        yarn.factor = positive(-100, 1000);
        yarn.original_max_position_embeddings = length();
        yarn.beta_slow = positive(-9, 9);
        yarn.beta_fast = yarn.beta_slow * positive(0, 9);
        yarn.truncate = coin();
        yarn.attention_factor = maybe(scale());
        if (coin()) yarn.mscale = positive(-9, 9);
        if (coin()) yarn.mscale_all_dim = positive(-1, 1);
        if (coin()) yarn.extrapolation_factor = positive(-9, 0);
        if (coin()) yarn.attn_factor = positive(-3, 3);
        yarn.scale_softmax = coin();
        return yarn;
      }
      case 6: {
        LongRopeScaling rope;
        rope.short_factor = list(pairs, -9, 9);
        rope.long_factor = list(pairs, -9, 9);
        rope.original_max_position_embeddings = 1 + length();
        rope.factor = positive(-9, 9);
        rope.attention_factor = maybe(scale());
        rope.short_mscale = maybe(scale());
        rope.long_mscale = maybe(scale());
        return rope;
      }
      case 7: return ProportionalScaling{positive(-9, 9), positive(-9, 0)};
      case 8: {
        spec.theta = positive(0.1, 1000);
        DeepseekYarnScaling yarn;
        yarn.factor = positive(-100, 1000);
        yarn.original_max_position_embeddings = length();
        yarn.beta_slow = positive(-9, 9);
        yarn.beta_fast = yarn.beta_slow * positive(0, 9);
        yarn.mscale = coin() ? 0 : positive(-3, 3);
        yarn.mscale_all_dim = coin() ? 0 : positive(-3, 3);
        yarn.extrapolation_factor = coin() ? 0 : positive(-9, 0);
        yarn.attn_factor = positive(-3, 3);
        return yarn;
      }
      case 9: {
        InvFreqScaling given{list(pairs, -100, 100), maybe(scale())};
        if (coin()) given.inv_freq.back() = 0;
        return given;
      }
      default: return NoScaling{};
    }
  }

  /// Sections that go with an order, of as many pairs as the spec has. Changes the layout where another goes with them.
  Axes axes(RopeSpec& spec) {
    const std::int64_t pairs = spec.rotary_dim / 2;
    Axes axes;
    axes.order = static_cast<AxisOrder>(integer(0, 2));
    const std::int64_t n = axes.order == AxisOrder::alternating ? 3 : integer(2, 4);
    axes.sections.assign(static_cast<std::size_t>(n), 0);
    std::int64_t left = pairs;
    if (axes.order == AxisOrder::chunked && pairs % n == 0 && coin()) {
      spec.layout = Layout::split_sections;
      axes.sections.assign(static_cast<std::size_t>(n), pairs / n);
      left = 0;
    } else if (axes.order == AxisOrder::alternating) {
      axes.sections[1] = axes.sections[2] = integer(0, pairs / 2);
      left -= 2 * axes.sections[1];
    } else {
      for (std::int64_t a = 1; a < n; ++a) {
        const std::int64_t most = axes.order == AxisOrder::interleaved ? pairs / n : left;
        left -= axes.sections[static_cast<std::size_t>(a)] = integer(0, most);
      }
    }
    axes.sections[0] += left;
    const bool any = std::holds_alternative<NoScaling>(spec.scaling);
    if (any && spec.theta >= 1) axes.frequencies = static_cast<AxisFrequencies>(integer(0, 2));
    return axes;
  }

  RopeSpec spec() {
    RopeSpec spec;
    spec.layout = static_cast<Layout>(integer(0, 1));
    spec.direction = static_cast<Direction>(integer(0, 1));
    spec.dtype = static_cast<DType>(integer(0, 2));
    spec.theta = positive(-200, 1000);
    spec.rotary_dim = even(2, 4096);
    const auto operand = [&] {
      const std::int64_t head_dim = even(spec.rotary_dim, 4096);
      return Operand{integer(1, 65536), head_dim, even(0, head_dim - spec.rotary_dim)};
    };
    spec.q = operand();
    if (integer(0, 1) == 1) spec.k = operand();
    spec.scaling = scaling(integer(0, 9), spec);
    if (integer(0, 2) == 0) spec.max_length = length();
    if (coin()) spec.axes = axes(spec);
    spec.rounding = static_cast<Rounding>(integer(0, 3));
    spec.sine = static_cast<Sine>(integer(0, 1));
    if (coin()) spec.q.dtype_out = static_cast<DType>(integer(0, 2));
    if (coin()) spec.v = Operand{integer(1, 65536), even(2, 1024)};
    if (spec.direction == Direction::forward) {
      add_norm(spec.q);
      if (spec.k) add_norm(*spec.k);
      if (spec.v) add_norm(*spec.v);
    }
    spec.round_after = {coin(), coin()};
    return spec;
  }

 private:
  void add_norm(Operand& operand) {
    if (operand.head_dim > 1024 || coin()) return;
    operand.norm.emplace();
    operand.norm->eps = positive(-66, 0);
    if (coin()) operand.norm->weight_dtype = static_cast<DType>(integer(0, 2));
    if (coin()) operand.norm->statistic = Statistic::given;
  }

  std::mt19937_64 engine_;
};

}  // namespace

TEST_CASE("any valid spec survives JSON unchanged, to the last bit") {
  Random random(20240607);
  std::vector<int> seen(std::variant_size_v<Scaling>);
  int with_axes = 0;
  int with_norm = 0;
  for (int i = 0; i < 1000; ++i) {
    const RopeSpec spec = random.spec();
    ++seen[spec.scaling.index()];
    with_axes += spec.axes != Axes{};
    with_norm += spec.q.norm || (spec.v && spec.v->norm);
    INFO(spec.to_string());
    const std::string json = spec.to_json();
    const RopeSpec back = RopeSpec::from_json(json);
    CHECK(back == spec);
    CHECK(back.to_json() == json);
  }
  for (const int count : seen) CHECK(count > 50);
  CHECK(with_axes > 300);
  CHECK(with_norm > 50);
}

TEST_CASE("every field of a rule has a key of its own, and optional ones are left out where they are absent") {
  RopeSpec spec;
  spec.rotary_dim = 4;
  spec.q = Operand{1, 4, 0};
  struct Row {
    Scaling scaling;
    const char* json;
    const char* text;
  };
  const Row rows[] = {
      {DynamicScaling{2, 4096}, R"({"rope_type":"dynamic","factor":2,"max_position_embeddings":4096})",
       "dynamic(factor 2, trained 4096)"},
      {NtkScaling{1000}, R"({"rope_type":"ntk","alpha":1000})", "ntk(alpha 1000)"},
      {YarnScaling{4, 8192},
       R"({"rope_type":"yarn","factor":4,"original_max_position_embeddings":8192,"beta_fast":32,"beta_slow":1,)"
       R"("truncate":true,"mscale":0,"mscale_all_dim":0,"extrapolation_factor":1,"attn_factor":1,)"
       R"("scale_softmax":false})",
       "yarn(factor 4, original 8192)"},
      {YarnScaling{4, 8192, 16, 2, false, 1.5, 0.7, 0.8, 0.5, 1.25, true},
       R"({"rope_type":"yarn","factor":4,"original_max_position_embeddings":8192,"beta_fast":16,"beta_slow":2,)"
       R"("truncate":false,"attention_factor":1.5,"mscale":0.7,"mscale_all_dim":0.8,"extrapolation_factor":0.5,)"
       R"("attn_factor":1.25,"scale_softmax":true})",
       "yarn(factor 4, original 8192, beta_fast 16, beta_slow 2, truncate false, attention_factor 1.5, mscale 0.7, "
       "mscale_all_dim 0.8, extrapolation_factor 0.5, attn_factor 1.25, scale_softmax true)"},
      {LongRopeScaling{{1, 2}, {3, 4.5}, 4096, 32.0, std::nullopt, 1.25, std::nullopt},
       R"({"rope_type":"longrope","short_factor":[1,2],"long_factor":[3,4.5],)"
       R"("original_max_position_embeddings":4096,"factor":32,"short_mscale":1.25})",
       "longrope(short 2 numbers, long 2 numbers, original 4096, factor 32, short_mscale 1.25)"},
      {ProportionalScaling{1, 0.25}, R"({"rope_type":"proportional","factor":1,"partial_rotary_factor":0.25})",
       "proportional(fraction 0.25)"},
      {DeepseekYarnScaling{40, 4096, 32, 1, 0.7, 0.5, 1, 1},
       R"({"rope_type":"deepseek_yarn","factor":40,"original_max_position_embeddings":4096,"beta_fast":32,)"
       R"("beta_slow":1,"mscale":0.7,"mscale_all_dim":0.5,"extrapolation_factor":1,"attn_factor":1})",
       "deepseek_yarn(factor 40, original 4096, mscale 0.7, mscale_all_dim 0.5)"},
      {InvFreqScaling{{1, 0}, 2.0}, R"({"rope_type":"inv_freq","inv_freq":[1,0],"attention_factor":2})",
       "inv_freq(of 2 numbers, attention_factor 2)"},
  };
  for (const Row& row : rows) {
    spec.scaling = row.scaling;
    INFO(row.text);
    CHECK(contains(spec.to_json(), std::string(R"("rope_scaling":)") + row.json + "}"));
    CHECK(contains(spec.to_string(), row.text));
    CHECK(RopeSpec::from_json(spec.to_json()) == spec);
  }
  spec.max_length = 4097;
  CHECK(contains(spec.to_json(), R"(,"max_length":4097})"));
  CHECK(contains(spec.to_string(), " max_length 4097 "));
}

TEST_CASE("the JSON of a spec has every field in a fixed order") {
  RopeSpec spec;
  spec.theta = 500000;
  spec.rotary_dim = 128;
  spec.q = Operand{32, 128, 0};
  spec.k = Operand{8, 128, 0};
  spec.scaling = Llama3Scaling{};
  CHECK(spec.to_json() ==
        R"({"schema":1,"layout":"split_half","direction":"forward","dtype":"bf16","rope_theta":500000,)"
        R"("rotary_dim":128,"q":{"heads":32,"head_dim":128,"first_lane":0},"k":{"heads":8,"head_dim":128,)"
        R"("first_lane":0},"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,)"
        R"("high_freq_factor":4,"original_max_position_embeddings":8192}})");
  CHECK(spec.to_string() ==
        "split_half bf16 q 32x128 k 8x128 rotary 128 theta 500000 llama3(factor 8, low 1, high 4, original 8192) "
        "forward");
}

TEST_CASE("axes, roundings, the sine and output dtypes are written where they are not the defaults, and only there") {
  RopeSpec spec;
  spec.rotary_dim = 16;
  spec.q = Operand{2, 16, 0, DType::fp32};
  spec.k = Operand{1, 32, 16, DType::fp16};
  spec.axes = {{4, 2, 2}, AxisOrder::interleaved, AxisFrequencies::strided};
  spec.rounding = Rounding::p2;
  spec.angle = AngleRounding::fp32_inv_freq;
  spec.sine = Sine::hardware;
  CHECK(spec.to_json() ==
        R"({"schema":1,"layout":"split_half","direction":"forward","dtype":"bf16","rope_theta":10000,"rotary_dim":16,)"
        R"("q":{"heads":2,"head_dim":16,"first_lane":0,"dtype_out":"fp32"},)"
        R"("k":{"heads":1,"head_dim":32,"first_lane":16,"dtype_out":"fp16"},"rope_scaling":{"rope_type":"default"},)"
        R"("axes":{"sections":[4,2,2],"order":"interleaved","frequencies":"strided"},)"
        R"("rounding":"p2","angle":"fp32_inv_freq","sine":"hardware"})");
  CHECK(spec.to_string() ==
        "split_half bf16 q 2x16 to fp32 k 1x32+16 to fp16 rotary 16 theta 10000 axes [4, 2, 2] interleaved strided "
        "rounding p2 angle fp32_inv_freq sine hardware forward");
  CHECK(RopeSpec::from_json(spec.to_json()) == spec);

  RopeSpec usual = spec;
  usual.q.dtype_out = usual.k->dtype_out = std::nullopt;
  usual.axes = {{4, 4}};
  usual.rounding = Rounding::exact;
  usual.angle = AngleRounding::exact;
  usual.sine = Sine::polynomial;
  CHECK(contains(usual.to_json(), R"("rope_scaling":{"rope_type":"default"},"axes":{"sections":[4,4]}})"));
  CHECK(contains(usual.to_string(), " axes [4, 4] forward"));
  CHECK(RopeSpec::from_json(usual.to_json()) == usual);
}

TEST_CASE("norms and rounding points are written where there are any, and read back") {
  RopeSpec spec;
  spec.rotary_dim = 128;
  spec.q = Operand{32, 128};
  spec.q.norm = Norm{1e-6, DType::fp32};
  spec.k = Operand{8, 128};
  spec.k->norm = Norm{0.5, std::nullopt};
  spec.v = Operand{8, 128};
  spec.v->norm = Norm{};
  spec.round_after = {true, true};
  CHECK(spec.to_json() ==
        R"({"schema":1,"layout":"split_half","direction":"forward","dtype":"bf16","rope_theta":10000,"rotary_dim":128,)"
        R"("q":{"heads":32,"head_dim":128,"first_lane":0,"norm":{"eps":1e-06,"weight_dtype":"fp32"}},)"
        R"("k":{"heads":8,"head_dim":128,"first_lane":0,"norm":{"eps":0.5}},)"
        R"("v":{"heads":8,"head_dim":128,"first_lane":0,"norm":{"eps":1e-06}},)"
        R"("rope_scaling":{"rope_type":"default"},"round_after":["norm","weight"]})");
  CHECK(spec.to_string() ==
        "split_half bf16 q 32x128 norm 1e-06 fp32 weights k 8x128 norm 0.5 v 8x128 norm 1e-06 rotary 128 theta 10000 "
        "rounded after norm and weight forward");
  CHECK(RopeSpec::from_json(spec.to_json()) == spec);

  spec.gate = Operand{32, 64};
  spec.gate->dtype_out = DType::fp16;
  CHECK(contains(spec.to_json(),
                 R"(},"gate":{"heads":32,"head_dim":64,"first_lane":0,"dtype_out":"fp16"},"rope_scaling":)"));
  CHECK(contains(spec.to_string(), " v 8x128 norm 1e-06 gate 32x64 to fp16 rotary 128 "));
  CHECK(RopeSpec::from_json(spec.to_json()) == spec);
  RopeSpec without = spec;
  without.gate.reset();
  CHECK(without != spec);
  CHECK(RopeSpec::from_json(without.to_json()) == without);

  spec.round_after = {false, true};
  CHECK(contains(spec.to_json(), R"(,"round_after":["weight"]})"));
  CHECK(contains(spec.to_string(), " rounded after weight forward"));
  CHECK(RopeSpec::from_json(spec.to_json()) == spec);
  spec.round_after = {};
  spec.q.norm = spec.k->norm = spec.v->norm = std::nullopt;
  CHECK_FALSE(contains(spec.to_json(), "norm"));
  CHECK_FALSE(contains(spec.to_string(), "norm"));
  CHECK_FALSE(contains(spec.to_json(), "round_after"));

  const auto read = [](const std::string& norm, const std::string& fields = "") {
    return RopeSpec::from_json(R"({"schema": 1, "q": {"heads": 4, "head_dim": 16, "norm": )" + norm + "}" + fields +
                               "}");
  };
  CHECK(read("{}").q.norm == Norm{1e-6, std::nullopt});
  CHECK(read("null").q.norm == std::nullopt);
  CHECK(read(R"({"eps": null, "weight_dtype": null})").q.norm == Norm{});
  CHECK(read(R"({"eps": 1e-5, "weight_dtype": "bf16"})").q.norm == Norm{1e-5, DType::bf16});
  CHECK(read("{}", R"(, "round_after": ["weight", "norm"])").round_after == RoundAfter{true, true});
  CHECK(read("{}", R"(, "round_after": ["norm"])").round_after == RoundAfter{true, false});
  CHECK(read("{}", R"(, "round_after": [])").round_after == RoundAfter{});
  CHECK(read("{}", R"(, "round_after": null)").round_after == RoundAfter{});
}

TEST_CASE("every name of an axis order, a frequency rule, a rounding and a sine is read") {
  const auto read = [](const std::string& fields) {
    return RopeSpec::from_json(R"({"schema": 1, "q": {"heads": 4, "head_dim": 16}, )" + fields + "}");
  };
  const auto axes = [&](const std::string& fields) { return read(R"("axes": {)" + fields + "}").axes; };
  using Sections = std::vector<std::int64_t>;
  CHECK(axes(R"("sections": [8, 0])") == Axes{{8, 0}});
  CHECK(axes(R"("sections": [4, 2, 2], "order": "chunked", "frequencies": "shared")") == Axes{{4, 2, 2}});
  CHECK(axes(R"("sections": [4.0, 2, 2], "order": "interleaved")") == Axes{{4, 2, 2}, AxisOrder::interleaved});
  CHECK(axes(R"("sections": [4, 2, 2], "order": "alternating")").order == AxisOrder::alternating);
  CHECK(axes(R"("sections": [2, 2, 2, 2], "frequencies": "restarted")").frequencies == AxisFrequencies::restarted);
  CHECK(axes(R"("sections": [4, 4], "frequencies": "strided")").sections == Sections{4, 4});
  CHECK(read(R"("axes": null, "rounding": null, "angle": null, "sine": null)") == read(R"("axes": {"sections": []})"));
  CHECK(read(R"("rounding": "exact")").rounding == Rounding::exact);
  CHECK(read(R"("rounding": "p1")").rounding == Rounding::p1);
  CHECK(read(R"("rounding": "p2")").rounding == Rounding::p2);
  CHECK(read(R"("rounding": "p3")").rounding == Rounding::p3);
  CHECK(read(R"("angle": "exact")").angle == AngleRounding::exact);
  CHECK(read(R"("angle": "fp32_inv_freq")").angle == AngleRounding::fp32_inv_freq);
  CHECK(read(R"("angle": "fp32")").angle == AngleRounding::fp32);
  CHECK(read(R"("sine": "polynomial")").sine == Sine::polynomial);
  CHECK(read(R"("sine": "hardware", "dtype": "fp32")").sine == Sine::hardware);
  CHECK(read(R"("layout": "split_sections", "axes": {"sections": [4, 4]})").layout == Layout::split_sections);
}

TEST_CASE("a spec needs only schema and the shape of q") {
  const RopeSpec spec = RopeSpec::from_json(R"({"schema": 1, "q": {"heads": 71, "head_dim": 96}})");
  CHECK(spec.layout == Layout::split_half);
  CHECK(spec.direction == Direction::forward);
  CHECK(spec.dtype == DType::bf16);
  CHECK(spec.theta == 10000.0);
  CHECK(spec.rotary_dim == 96);
  CHECK(spec.q == Operand{71, 96, 0});
  CHECK_FALSE(spec.k);
  CHECK(spec.scaling == Scaling{NoScaling{}});
}

TEST_CASE("null is absent, a fraction is truncated to lanes, and default scaling is none") {
  const auto read = [](const std::string& fields) {
    return RopeSpec::from_json(R"({"schema": 1, "q": {"heads": 4, "head_dim": 192}, )" + fields + "}");
  };
  const RopeSpec nulls = read(R"("k": null, "rope_scaling": null, "rotary_dim": null, "rope_theta": null)");
  CHECK(nulls == read(R"("rotary_dim": 192)"));
  CHECK(read(R"("partial_rotary_factor": 0.334)").rotary_dim == 64);
  CHECK(read(R"("rope_scaling": {"rope_type": "default"})") == nulls);
  CHECK(read(R"("rope_scaling": {"rope_type": "linear", "factor": 2})").scaling == Scaling{LinearScaling{2}});
}
