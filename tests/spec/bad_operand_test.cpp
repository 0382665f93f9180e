// What is wrong with an operand's norm or stages is told in one line that names the field, in JSON and in C++.
#include <functional>
#include <limits>
#include <string>

#include "ropejit/spec.hpp"
#include "spec/bad_input.hpp"

using namespace ropejit;
using namespace ropejit::test;

namespace {

// 300 heads are more than a norm over the token takes, and 64 of 256 lanes just as many as it does.
std::string spec_of(const std::string& q, const std::string& fields = "", const char* shape = "") {
  const std::string heads = *shape == 0 ? R"("heads": 4, "head_dim": 64)" : shape;
  return R"({"schema": 1, "rotary_dim": 32, "q": {)" + heads + (q.empty() ? "" : ", ") + q + "}" +
         (fields.empty() ? "" : ", ") + fields + "}";
}

std::string with_norm(const std::string& fields, const char* shape = "") {
  return spec_of(R"("norm": {)" + fields + "}", "", shape);
}

}  // namespace

TEST_CASE("a bad norm as JSON names its field") {
  const BadText rows[] = {
      {with_norm(R"("kind": "batch")"), "q.norm.kind", kRange},
      {with_norm(R"("kind": 1)"), "q.norm.kind", kParse},
      {with_norm(R"("kind": "rms", "kind": "l2")"), "kind", kParse},
      {with_norm(R"("kind": "l2", "eps": 1e-19)"), "q.norm.eps", kRange},
      {with_norm(R"("kind": "layer", "eps": 1e-21)"), "q.norm.eps", kRange},
      {with_norm(R"("kind": "layer", "statistic": "given")"), "q.norm.statistic", kRange},
      {with_norm(R"("kind": "l2", "statistic": "given_sum")"), "q.norm.statistic", kRange},
      {with_norm(R"("span": "row")"), "q.norm.span", kRange},
      {with_norm(R"("span": "token")", R"("heads": 257, "head_dim": 32)"), "q.norm.span", kRange},
      {with_norm(R"("span": "token")", R"("heads": 65, "head_dim": 256)"), "q.norm.span", kRange},
      {with_norm(R"("span": "token", "statistic": "given")", R"("heads": 257, "head_dim": 32)"), "q.norm.span", kRange},
      {with_norm(R"("weight": "all")"), "q.norm.weight", kRange},
      {with_norm(R"("weight": true)"), "q.norm.weight", kParse},
      {with_norm(R"("weight": "none", "plus_one": true)"), "q.norm.plus_one", kRange},
      {with_norm(R"("weight": "none", "bias": true)"), "q.norm.bias", kRange},
      {with_norm(R"("plus_one": 1)"), "q.norm.plus_one", kParse},
      {with_norm(R"("bias": "yes")"), "q.norm.bias", kParse},
      {with_norm(R"("first_lane": 1)"), "q.norm.first_lane", kRange},
      {with_norm(R"("first_lane": -2)"), "q.norm.first_lane", kRange},
      {with_norm(R"("first_lane": 64)"), "q.norm.first_lane", kRange},
      {with_norm(R"("first_lane": "0")"), "q.norm.first_lane", kParse},
      {with_norm(R"("lanes": 33)"), "q.norm.lanes", kRange},
      {with_norm(R"("lanes": -2)"), "q.norm.lanes", kRange},
      {with_norm(R"("lanes": 66)"), "q.norm.lanes", kRange},
      {with_norm(R"("first_lane": 32, "lanes": 34)"), "q.norm.lanes", kRange},
      {with_norm(R"("lanes": 16)"), "q.norm.lanes", kRange},
      {with_norm(R"("first_lane": 2)"), "q.norm.lanes", kRange},
      {with_norm(R"("first_lane": 16, "lanes": 32)"), "q.norm.lanes", kRange},
      {with_norm(R"("global_heads": 8)"), "q.norm.global_heads", kRange},
      {with_norm(R"("global_heads": 8, "span": "token")"), "q.norm.global_heads", kRange},
      {with_norm(R"("global_heads": 8, "statistic": "given_sum")"), "q.norm.global_heads", kRange},
      {with_norm(R"("global_heads": 8, "span": "token", "statistic": "given")"), "q.norm.global_heads", kRange},
      {with_norm(R"("global_heads": 3, "span": "token", "statistic": "given_sum")"), "q.norm.global_heads", kRange},
      {with_norm(R"("global_heads": 65537, "span": "token", "statistic": "given_sum")"), "q.norm.global_heads", kRange},
      {with_norm(R"("global_heads": 4.5)"), "q.norm.global_heads", kRange},
      {with_norm(R"("weights": "lanes")"), "q.norm.weights", kParse},
      {spec_of("", R"("k": {"heads": 1, "head_dim": 64, "norm": {"lanes": 16}})"), "k.norm.lanes", kRange},
      {spec_of("", R"("v": {"heads": 1, "head_dim": 16, "norm": {"lanes": 18}})"), "v.norm.lanes", kRange},
  };
  for (const BadText& row : rows) check_refused(row, RopeSpec::from_json);
  for (const std::string& good : {
           with_norm(R"("kind": "l2", "eps": 1e-18)"),
           with_norm(R"("span": "token")", R"("heads": 64, "head_dim": 256)"),
           with_norm(R"("span": "token")", R"("heads": 256, "head_dim": 64)"),
           with_norm(R"("first_lane": 32)"),
           with_norm(R"("lanes": 32)"),
           with_norm(R"("weight": "none", "weight_dtype": "fp32")"),
           with_norm(R"("global_heads": 4, "span": "token", "statistic": "given_sum")"),
           // It does not rotate, so any lanes may be normed.
           spec_of("", R"("v": {"heads": 1, "head_dim": 64, "norm": {"lanes": 16}})"),
       }) {
    INFO(good);
    CHECK_NOTHROW(RopeSpec::from_json(good));
  }
}

TEST_CASE("bad stages as JSON name their field") {
  const auto temperature = [](const std::string& fields) { return spec_of(R"("temperature": {)" + fields + "}"); };
  const char* const good_numbers = R"("coefficient": 0.1, "length": 8192)";
  const BadText rows[] = {
      {spec_of(R"("bias": 1)"), "q.bias", kParse},
      {spec_of(R"("bias": {})"), "q.bias", kParse},
      {spec_of(R"("clamp": 0)"), "q.clamp", kRange},
      {spec_of(R"("clamp": -8)"), "q.clamp", kRange},
      {spec_of(R"("clamp": 1e-60)"), "q.clamp", kRange},
      {spec_of(R"("clamp": 1e39)"), "q.clamp", kRange},
      {spec_of(R"("clamp": NaN)"), "q.clamp", kParse},
      {spec_of(R"("clamp": [8, 8])"), "q.clamp", kParse},
      {spec_of(R"("scale": 1e39)"), "q.scale", kRange},
      {spec_of(R"("scale": -1e39)"), "q.scale", kRange},
      {spec_of(R"("scale": 1e400)"), "q.scale", kRange},
      {spec_of(R"("scale": "0.5")"), "q.scale", kParse},
      {spec_of(R"("head_scales": [1, 1, 1, 1])"), "q.head_scales", kParse},
      {spec_of(R"("temperature": 0.1)"), "q.temperature", kParse},
      {temperature(""), "q.temperature.coefficient", kParse},
      {temperature(R"("coefficient": 0.1)"), "q.temperature.length", kParse},
      {temperature(R"("length": 8192)"), "q.temperature.coefficient", kParse},
      {temperature(R"("coefficient": 1e39, "length": 8192)"), "q.temperature.coefficient", kRange},
      {temperature(R"("coefficient": true, "length": 8192)"), "q.temperature.coefficient", kParse},
      {temperature(R"("coefficient": 0.1, "length": 0)"), "q.temperature.length", kRange},
      {temperature(R"("coefficient": 0.1, "length": 1099511627777)"), "q.temperature.length", kRange},
      {temperature(R"("coefficient": 0.1, "length": 0.5)"), "q.temperature.length", kRange},
      {temperature(good_numbers + std::string(R"(, "offset": 2)")), "q.temperature.offset", kRange},
      {temperature(good_numbers + std::string(R"(, "offset": -1)")), "q.temperature.offset", kRange},
      {temperature(good_numbers + std::string(R"(, "steps": 1)")), "q.temperature.steps", kParse},
      {temperature(good_numbers + std::string(R"(, "floor": true)")), "q.temperature.floor", kParse},
      {temperature(good_numbers + std::string(R"(, "length": 8192)")), "length", kParse},
      {spec_of(R"("order": "rotate")"), "q.order", kParse},
      {spec_of(R"("order": {"rotate": 1})"), "q.order", kParse},
      {spec_of(R"("order": [1])"), "q.order[0]", kParse},
      {spec_of(R"("order": ["rotate", null])"), "q.order[1]", kParse},
      {spec_of(R"("order": ["Rotate"])"), "q.order[0]", kRange},
      {spec_of(R"("order": ["rotate", "rotate"])"), "q.order", kRange},
      {spec_of(R"("order": ["norm", "rotate"])"), "q.order", kRange},
      {spec_of(R"("norm": {}, "order": ["norm"])"), "q.order", kRange},
      {spec_of(R"("norm": {}, "order": ["norm", "norm"])"), "q.order", kRange},
      {spec_of(R"("norm": {}, "order": ["rotate"])"), "q.order", kRange},
      {spec_of(R"("norm": {}, "rotates": false, "order": ["rotate", "norm"])"), "q.order", kRange},
      {spec_of("", R"("v": {"heads": 1, "head_dim": 8, "order": ["rotate"]})"), "v.order", kRange},
      {spec_of("", R"("v": {"heads": 1, "head_dim": 8, "clamp": 0})"), "v.clamp", kRange},
      {spec_of("", R"("k": {"heads": 1, "head_dim": 64, "scale": 1e39})"), "k.scale", kRange},
      {spec_of(R"("rotates": false)", R"("k": {"heads": 1, "head_dim": 64})"), "q.rotates", kRange},
      {spec_of(R"("rotates": false)", R"("k": {"heads": 1, "head_dim": 64, "rotates": true})"), "q.rotates", kRange},
      {spec_of(R"("rotates": false, "first_lane": 2)"), "q.first_lane", kRange},
  };
  for (const BadText& row : rows) check_refused(row, RopeSpec::from_json);
  std::string many = R"("order": ["rotate")";
  for (int i = 0; i < 100000; ++i) many += R"(,"rotate")";
  check_refused({spec_of(many + "]"), "q.order", kRange}, RopeSpec::from_json);
  for (const std::string& good : {
           spec_of(R"("rotates": false)"),
           spec_of(R"("rotates": false, "norm": {}, "order": ["norm"])",
                   R"("k": {"heads": 1, "head_dim": 16, "rotates": false})"),
           spec_of(R"("clamp": 3.4028234663852886e38, "scale": -3.4028234663852886e38)"),
           spec_of(R"("clamp": 1e-45)"),
           temperature(R"("coefficient": -3, "length": 1099511627776)"),
       }) {
    INFO(good);
    CHECK_NOTHROW(RopeSpec::from_json(good));
  }
}

TEST_CASE("no stage but the rotation has another direction, or more than 1,024 lanes") {
  for (const char* const stage : {R"("norm": {})", R"("bias": true)", R"("clamp": 8)", R"("scale": 2)",
                                  R"("head_scales": true)", R"("temperature": {"coefficient": 1, "length": 1})"}) {
    const std::string key = std::string(stage).substr(1, std::string(stage).find('"', 1) - 1);
    const std::string field = "q." + key;
    for (const char* const direction : {"inverse", "shift"}) {
      check_refused({spec_of(stage, R"("direction": ")" + std::string(direction) + R"(")"), field.c_str(), kRange},
                    RopeSpec::from_json);
    }
    check_refused({spec_of(stage, "", R"("heads": 1, "head_dim": 1026)"), field.c_str(), kRange}, RopeSpec::from_json);
    const std::string of_v = "v." + key;
    check_refused(
        {spec_of("", R"("v": {"heads": 1, "head_dim": 2048, )" + std::string(stage) + "}"), of_v.c_str(), kRange},
        RopeSpec::from_json);
    CHECK_NOTHROW(RopeSpec::from_json(spec_of(stage, "", R"("heads": 1, "head_dim": 1024)")));
  }
  CHECK_NOTHROW(RopeSpec::from_json(spec_of(R"("order": ["rotate"])", R"("direction": "adjoint")")));
}

TEST_CASE("a norm or stages that no JSON says are refused in C++ as well, by every function that reads them") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  struct Change {
    const char* field;
    std::function<void(Operand&)> change;
  };
  const auto norm = [](auto change) {
    return [change](Operand& q) {
      q.norm = Norm{};
      change(*q.norm);
    };
  };
  const Change rows[] = {
      {"q.norm.kind", norm([](Norm& n) { n.kind = static_cast<NormKind>(3); })},
      {"q.norm.span", norm([](Norm& n) { n.span = static_cast<NormSpan>(-1); })},
      {"q.norm.weight", norm([](Norm& n) { n.weight = static_cast<NormWeight>(3); })},
      {"q.norm.statistic", norm([](Norm& n) { n.statistic = static_cast<Statistic>(-1); })},
      {"q.norm.first_lane", norm([](Norm& n) { n.first_lane = std::numeric_limits<std::int64_t>::min(); })},
      {"q.norm.first_lane", norm([](Norm& n) { n.first_lane = std::numeric_limits<std::int64_t>::max(); })},
      {"q.norm.lanes", norm([](Norm& n) { n.lanes = std::numeric_limits<std::int64_t>::min(); })},
      {"q.norm.global_heads", norm([](Norm& n) { n.global_heads = -1; })},
      {"q.clamp", [&](Operand& q) { q.clamp = nan; }},
      {"q.clamp", [&](Operand& q) { q.clamp = inf; }},
      {"q.scale", [&](Operand& q) { q.scale = nan; }},
      {"q.scale", [&](Operand& q) { q.scale = -inf; }},
      {"q.temperature.coefficient",
       [&](Operand& q) {
         q.temperature = Temperature{nan, 1};
       }},
      {"q.temperature.coefficient",
       [&](Operand& q) {
         q.temperature = Temperature{inf, 1};
       }},
      {"q.temperature.length",
       [](Operand& q) {
         q.temperature = Temperature{1, -1};
       }},
      {"q.order[0]", [](Operand& q) { q.order = {static_cast<StageName>(7)}; }},
      {"q.order[1]",
       [](Operand& q) {
         q.order = {StageName::rotate, static_cast<StageName>(-1)};
       }},
  };
  for (const Change& row : rows) {
    RopeSpec spec = RopeSpec::from_json(kGoodSpec);
    row.change(spec.q);
    check_refused(spec, row.field);
  }
}
