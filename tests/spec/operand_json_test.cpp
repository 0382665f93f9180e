// An operand's norm and stages as JSON and in the words that people are shown.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ropejit/spec.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using ropejit::test::contains;

namespace {

// q of 4 heads of 64 lanes, of which the first 32 rotate, k and v likewise.
RopeSpec plain_spec() {
  RopeSpec spec;
  spec.rotary_dim = 32;
  spec.q = Operand{4, 64};
  spec.k = Operand{2, 64};
  spec.v = Operand{2, 64};
  return spec;
}

struct Change {
  std::function<void(RopeSpec&)> change;
  const char* json;  ///< what it adds to the JSON of q
  const char* text;  ///< and to what people are shown
};

// One field each, in a value that is not the default.
std::vector<Change> every_change() {
  const auto norm = [](auto change) {
    return [change](RopeSpec& s) {
      s.q.norm = Norm{};
      change(*s.q.norm);
    };
  };
  return {
      {norm([](Norm& n) { n.eps = 1e-5; }), R"("norm":{"eps":1e-05})", " norm 1e-05"},
      {norm([](Norm& n) { n.weight_dtype = DType::fp32; }), R"("norm":{"eps":1e-06,"weight_dtype":"fp32"})",
       " norm 1e-06 fp32 weights"},
      {norm([](Norm& n) { n.statistic = Statistic::given; }), R"("norm":{"eps":1e-06,"statistic":"given"})",
       " norm of given r"},
      {norm([](Norm& n) { n.statistic = Statistic::given_sum; }), R"("norm":{"eps":1e-06,"statistic":"given_sum"})",
       " norm of given sums 1e-06"},
      {norm([](Norm& n) { n.kind = NormKind::layer; }), R"("norm":{"eps":1e-06,"kind":"layer"})", " norm layer 1e-06"},
      {norm([](Norm& n) { n.kind = NormKind::l2; }), R"("norm":{"eps":1e-06,"kind":"l2"})", " norm l2 1e-06"},
      {norm([](Norm& n) { n.span = NormSpan::token; }), R"("norm":{"eps":1e-06,"span":"token"})",
       " norm 1e-06 over the token"},
      {norm([](Norm& n) { n.weight = NormWeight::heads; }), R"("norm":{"eps":1e-06,"weight":"heads"})",
       " norm 1e-06 by head"},
      {norm([](Norm& n) { n.weight = NormWeight::none; }), R"("norm":{"eps":1e-06,"weight":"none"})",
       " norm 1e-06 without weights"},
      {norm([](Norm& n) { n.plus_one = true; }), R"("norm":{"eps":1e-06,"plus_one":true})", " norm 1e-06 plus one"},
      {norm([](Norm& n) { n.bias = true; }), R"("norm":{"eps":1e-06,"bias":true})", " norm 1e-06 with biases"},
      {norm([](Norm& n) { n.first_lane = 32; }), R"("norm":{"eps":1e-06,"first_lane":32})",
       " norm 1e-06 lanes from 32"},
      {norm([](Norm& n) { n.lanes = 48; }), R"("norm":{"eps":1e-06,"lanes":48})", " norm 1e-06 lanes 0 to 47"},
      {norm([](Norm& n) {
         n.span = NormSpan::token;
         n.statistic = Statistic::given_sum;
         n.global_heads = 16;
       }),
       R"("norm":{"eps":1e-06,"statistic":"given_sum","span":"token","global_heads":16})",
       " norm of given sums 1e-06 over the token of 16 heads"},
      {[](RopeSpec& s) { s.q.rotates = true; }, R"("rotates":true)", " rotates=true"},
      {[](RopeSpec& s) { s.q.rotates = s.k->rotates = false; }, R"("rotates":false)", " rotates=false"},
      {[](RopeSpec& s) { s.q.bias = true; }, R"("bias":true)", " bias"},
      {[](RopeSpec& s) { s.q.clamp = 8; }, R"("clamp":8)", " clamp 8"},
      {[](RopeSpec& s) { s.q.scale = -0.0625; }, R"("scale":-0.0625)", " scale -0.0625"},
      {[](RopeSpec& s) { s.q.scale = 0; }, R"("scale":0)", " scale 0"},
      {[](RopeSpec& s) { s.q.head_scales = true; }, R"("head_scales":true)", " head_scales"},
      {[](RopeSpec& s) {
         s.q.temperature = Temperature{0.1, 8192};
       },
       R"("temperature":{"coefficient":0.1,"length":8192})", " temperature(0.1, steps of 8192)"},
      {[](RopeSpec& s) {
         s.q.temperature = Temperature{0.2, 8192};
       },
       R"("temperature":{"coefficient":0.2,"length":8192})", " temperature(0.2, steps of 8192)"},
      {[](RopeSpec& s) {
         s.q.temperature = Temperature{0.1, 16384};
       },
       R"("temperature":{"coefficient":0.1,"length":16384})", " temperature(0.1, steps of 16384)"},
      {[](RopeSpec& s) {
         s.q.temperature = Temperature{0.1, 8192, false};
       },
       R"("temperature":{"coefficient":0.1,"length":8192,"steps":false})", " temperature(0.1, smooth from 8192)"},
      {[](RopeSpec& s) {
         s.q.temperature = Temperature{0.1, 8192, true, 1};
       },
       R"("temperature":{"coefficient":0.1,"length":8192,"offset":1})", " temperature(0.1, steps of 8192, offset 1)"},
      {[](RopeSpec& s) { s.q.order = {StageName::rotate}; }, R"("order":["rotate"])", " order(rotate)"},
      {[](RopeSpec& s) {
         s.q.norm = Norm{};
         s.q.order = {StageName::rotate, StageName::norm};
       },
       R"("norm":{"eps":1e-06},"order":["rotate","norm"])", " norm 1e-06 order(rotate, norm)"},
  };
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  std::int64_t integer(std::int64_t min, std::int64_t max) {
    return std::uniform_int_distribution<std::int64_t>(min, max)(engine_);
  }
  bool coin() { return integer(0, 1) == 1; }
  /// Any magnitude, all 53 bits in use.
  double positive(double log2_min, double log2_max) {
    return std::exp2(std::uniform_real_distribution<double>(log2_min, log2_max)(engine_));
  }
  double any() { return (coin() ? 1 : -1) * (integer(0, 9) == 0 ? 0.0 : positive(-140, 127.9)); }

  Norm norm(const Operand& operand, bool rotates, std::int64_t rotary_dim) {
    Norm norm;
    norm.kind = static_cast<NormKind>(integer(0, 2));
    norm.eps = positive(norm.kind == NormKind::l2 ? -59 : -66, 0);
    if (coin()) norm.weight_dtype = static_cast<DType>(integer(0, 2));
    if (norm.kind == NormKind::rms) norm.statistic = static_cast<Statistic>(integer(0, 2));
    if (operand.heads <= 256 && operand.heads * operand.head_dim <= 16384)
      norm.span = static_cast<NormSpan>(integer(0, 1));
    norm.weight = static_cast<NormWeight>(integer(0, 2));
    if (norm.weight != NormWeight::none) {
      norm.plus_one = coin();
      norm.bias = coin();
    }
    if (!rotates) {
      norm.first_lane = 2 * integer(0, operand.head_dim / 2 - 1);
      norm.lanes = 2 * integer(0, (operand.head_dim - norm.first_lane) / 2);
    } else if (coin()) {
      norm.first_lane = 2 * integer(0, operand.first_lane / 2);
      const std::int64_t least = operand.first_lane + rotary_dim - norm.first_lane;
      norm.lanes = 2 * integer(least / 2, (operand.head_dim - norm.first_lane) / 2);
    } else if (operand.first_lane + rotary_dim < operand.head_dim) {
      norm.first_lane = operand.first_lane + rotary_dim;
    }
    if (norm.span == NormSpan::token && norm.statistic == Statistic::given_sum && coin()) {
      norm.global_heads = integer(operand.heads, 65536);
    }
    return norm;
  }

  void add_stages(Operand& operand, bool rotates, std::int64_t rotary_dim) {
    std::vector<StageName> present;
    const auto add = [&](StageName name, bool is_there) {
      if (is_there) present.push_back(name);
      return is_there;
    };
    add(StageName::rotate, rotates);
    if (add(StageName::norm, coin())) operand.norm = norm(operand, rotates, rotary_dim);
    operand.bias = add(StageName::bias, coin());
    if (add(StageName::clamp, coin())) operand.clamp = positive(-140, 127.9);
    if (add(StageName::scale, coin())) operand.scale = any();
    operand.head_scales = add(StageName::head_scale, coin());
    if (add(StageName::temperature, coin())) {
      operand.temperature = Temperature{any(), std::int64_t{1} << integer(0, 40), coin(), integer(0, 1)};
    }
    if (!coin()) return;
    std::shuffle(present.begin(), present.end(), engine_);
    operand.order = present;
  }

  RopeSpec spec() {
    RopeSpec spec;
    spec.dtype = static_cast<DType>(integer(0, 2));
    spec.rotary_dim = 2 * integer(1, 512);
    const bool q_rotates = integer(0, 3) != 0;
    const bool k_rotates = q_rotates && integer(0, 3) != 0;
    const auto operand = [&](bool rotates) {
      const std::int64_t head_dim = 2 * integer(spec.rotary_dim / 2, 512);
      const std::int64_t first_lane = rotates ? 2 * integer(0, (head_dim - spec.rotary_dim) / 2) : 0;
      return Operand{coin() ? integer(1, 16) : integer(1, 65536), head_dim, first_lane};
    };
    spec.q = operand(q_rotates);
    if (!q_rotates) spec.q.rotates = false;
    if (coin()) spec.k = operand(k_rotates);
    if (spec.k && !k_rotates) spec.k->rotates = false;
    if (coin()) spec.v = operand(false);
    add_stages(spec.q, q_rotates, spec.rotary_dim);
    if (spec.k) add_stages(*spec.k, k_rotates, spec.rotary_dim);
    if (spec.v) add_stages(*spec.v, false, spec.rotary_dim);
    spec.round_after = {coin(), coin(), coin(), coin(), coin(), coin(), coin(), coin()};
    return spec;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace

TEST_CASE("each field of a norm and of the stages is written, shown, read back and compared") {
  const std::vector<Change> changes = every_change();
  std::vector<RopeSpec> specs;
  for (const Change& row : changes) {
    RopeSpec spec = plain_spec();
    row.change(spec);
    INFO(row.json);
    const std::string json = spec.to_json();
    CHECK(contains(json, R"("q":{"heads":4,"head_dim":64,"first_lane":0,)" + std::string(row.json) + "}"));
    CHECK(contains(spec.to_string(), "q 4x64" + std::string(row.text) + " k 2x64"));
    CHECK(RopeSpec::from_json(json) == spec);
    CHECK(RopeSpec::from_json(json).to_json() == json);
    specs.push_back(spec);
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    CHECK(specs[i] != plain_spec());
    for (std::size_t j = 0; j < specs.size(); ++j) CHECK((specs[i] == specs[j]) == (i == j));
  }
}

TEST_CASE("k and v have stages of their own, and every order of stages and point of rounding is kept") {
  RopeSpec spec = plain_spec();
  spec.k->bias = true;
  spec.k->scale = 0.5;
  spec.k->order = {StageName::scale, StageName::rotate, StageName::bias};
  spec.v->clamp = 6.0;
  spec.round_after = {true, true, true, true, true, true, true, true};
  const std::string json = spec.to_json();
  CHECK(contains(json, R"("k":{"heads":2,"head_dim":64,"first_lane":0,"bias":true,"scale":0.5,)"
                       R"("order":["scale","rotate","bias"]},"v":{"heads":2,"head_dim":64,"first_lane":0,"clamp":6})"));
  CHECK(contains(json, R"("round_after":["norm","weight","bias","statistic","norm_bias","scale","rotation","tau"])"));
  CHECK(contains(spec.to_string(), "k 2x64 bias scale 0.5 order(scale, rotate, bias) v 2x64 clamp 6 "));
  CHECK(contains(spec.to_string(),
                 " rounded after norm and weight and bias and statistic and norm_bias and scale and "
                 "rotation and tau forward"));
  CHECK(RopeSpec::from_json(json) == spec);
}

TEST_CASE("any valid stages survive JSON unchanged, to the last bit") {
  Random random(20250131);
  int orders = 0;
  int still = 0;
  int spans = 0;
  int global = 0;
  for (int i = 0; i < 2000; ++i) {
    const RopeSpec spec = random.spec();
    INFO(spec.to_string());
    orders += !spec.q.order.empty();
    still += spec.q.rotates == false;
    spans += spec.q.norm && spec.q.norm->span == NormSpan::token;
    global += spec.q.norm && spec.q.norm->global_heads != 0;
    const std::string json = spec.to_json();
    const RopeSpec back = RopeSpec::from_json(json);
    CHECK(back == spec);
    CHECK(back.to_json() == json);
    if (spec.q.scale) CHECK(std::signbit(*back.q.scale) == std::signbit(*spec.q.scale));
  }
  CHECK(orders > 500);
  CHECK(still > 300);
  CHECK(spans > 50);
  CHECK(global > 10);
}

TEST_CASE("absent, null and default values of stages are one") {
  const auto read = [](const std::string& fields) {
    return RopeSpec::from_json(R"({"schema": 1, "q": {"heads": 4, "head_dim": 64)" + fields + "}}").q;
  };
  CHECK(read(R"(, "bias": false, "head_scales": false, "clamp": null, "scale": null, "temperature": null, "order": [],
                "norm": null)") == read(""));
  CHECK(read(R"(, "norm": {"kind": "rms", "span": "head", "weight": "lanes", "plus_one": false, "bias": false,
                "first_lane": 0, "lanes": 0, "global_heads": 0, "statistic": "computed"})") == read(R"(, "norm": {})"));
  CHECK(read(R"(, "temperature": {"coefficient": 0.1, "length": 1, "steps": true, "offset": 0})").temperature ==
        Temperature{});
}

TEST_CASE("a spec without any of these has the text that it always had") {
  CHECK(plain_spec().to_json() ==
        R"({"schema":1,"layout":"split_half","direction":"forward","dtype":"bf16","rope_theta":10000,"rotary_dim":32,)"
        R"("q":{"heads":4,"head_dim":64,"first_lane":0},"k":{"heads":2,"head_dim":64,"first_lane":0},)"
        R"("v":{"heads":2,"head_dim":64,"first_lane":0},"rope_scaling":{"rope_type":"default"}})");
}
