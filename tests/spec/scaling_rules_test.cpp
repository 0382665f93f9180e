// What each scaling rule is known to give: values of published models and the traps that implementations fall into.
#include "spec/scaling_rules.hpp"

#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ropejit/error.hpp"
#include "spec/errors.hpp"
#include "spec/frequencies.hpp"
#include "spec/frequency_rules.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;
using ropejit::test::contains;
using ropejit::test::error_of;

namespace {

RopeSpec spec_of(double theta, std::int64_t rotary_dim, const Scaling& scaling,
                 std::optional<std::int64_t> max_length = std::nullopt) {
  RopeSpec spec;
  spec.theta = theta;
  spec.rotary_dim = rotary_dim;
  spec.q = Operand{1, rotary_dim, 0};
  spec.scaling = scaling;
  spec.max_length = max_length;
  spec.validate();
  return spec;
}

bool near(double a, double b, double tolerance) { return std::fabs(a - b) <= tolerance; }

// The base that pair 1 says: w_1 = B^(-2/d).
double base_of(const RopeSpec& spec) {
  return std::pow(frequencies(spec).inv_freq[1], -static_cast<double>(spec.rotary_dim) / 2);
}

std::vector<double> ramp_bounds(double theta, std::int64_t rotary_dim, const YarnScaling& rule) {
  const Yarn<Wide<256>> yarn(YarnRamp(rule), spec_of(theta, rotary_dim, rule));
  return {yarn.low.convert_to<double>(), yarn.high.convert_to<double>()};
}

YarnScaling deepseek(double mscale) {
  YarnScaling rule{40, 4096};
  rule.mscale = rule.mscale_all_dim = mscale;
  rule.scale_softmax = true;
  return rule;
}

LongRopeScaling phi(std::int64_t pairs) {
  LongRopeScaling rule;
  rule.short_factor.assign(static_cast<std::size_t>(pairs), 1.0);
  rule.long_factor.assign(static_cast<std::size_t>(pairs), 8.0);
  rule.factor = 32.0;
  return rule;
}

}  // namespace

TEST_CASE("yarn's ramp lies where the published models' code puts it, truncated or not") {
  struct Row {
    const char* model;
    double theta;
    std::int64_t rotary_dim;
    YarnScaling rule;
    double low;
    double high;
    double truncated_low;
    double truncated_high;
  };
  const Row rows[] = {
      {"gpt-oss", 150000, 64, YarnScaling{32, 4096}, 8.092779, 17.398025, 8, 18},
      {"DeepSeek-V3", 10000, 64, deepseek(1), 10.472241, 22.513441, 10, 23},
      {"Ministral-3", 1e6, 128, YarnScaling{16, 16384}, 20.384961, 36.439894, 20, 37},
  };
  for (const Row& row : rows) {
    INFO(row.model);
    YarnScaling rule = row.rule;
    rule.truncate = false;
    CHECK(near(ramp_bounds(row.theta, row.rotary_dim, rule)[0], row.low, 5e-7));
    CHECK(near(ramp_bounds(row.theta, row.rotary_dim, rule)[1], row.high, 5e-7));
    rule.truncate = true;
    CHECK(ramp_bounds(row.theta, row.rotary_dim, rule) == std::vector<double>{row.truncated_low, row.truncated_high});
  }
}

TEST_CASE("yarn's ramp of no width is one of a thousandth, and no NaN") {
  YarnScaling rule{8, 4096, 2, 2, false};
  const std::vector<double> bounds = ramp_bounds(10000, 64, rule);
  CHECK(near(bounds[1] - bounds[0], 0.001, 1e-12));
  const Frequencies plain = frequencies(spec_of(10000, 64, NoScaling{}));
  const Frequencies result = frequencies(spec_of(10000, 64, rule));
  for (std::size_t i = 0; i < 32; ++i) {
    CAPTURE(i);
    const double divisor = static_cast<double>(i) < bounds[0] ? 1 : 8;
    CHECK(near(result.inv_freq[i] * divisor / plain.inv_freq[i], 1, 1e-15));
  }
}

TEST_CASE("the ramp is cut at d - 1, not at the last pair, and at 0") {
  CHECK(ramp_bounds(10000, 64, YarnScaling{8, std::int64_t{1} << 40})[1] == 63);
  CHECK(ramp_bounds(10000, 64, YarnScaling{8, 16})[0] == 0);
}

TEST_CASE("attention and softmax scales are those of the published models") {
  struct Row {
    const char* what;
    Scaling scaling;
    double attention_scale;
    double softmax_scale;
  };
  YarnScaling gpt_oss{32, 4096};
  gpt_oss.truncate = false;
  YarnScaling ministral{16, 16384};
  ministral.mscale = ministral.mscale_all_dim = 1;
  YarnScaling explicit_factor = deepseek(1);
  explicit_factor.attention_factor = 0.75;
  YarnScaling only_mscale{40, 4096};
  only_mscale.mscale = 0.707;
  YarnScaling short_of_one{0.5, 4096};
  const DeepseekYarnScaling v3{40, 4096, 32, 1, 1, 1};
  const DeepseekYarnScaling v2{40, 4096, 32, 1, 0.707, 0.707};
  const DeepseekYarnScaling v4{16, 65536, 32, 1, 0, 0};
  const DeepseekYarnScaling defaults{40, 4096};
  LongRopeScaling explicit_longrope = phi(48);
  explicit_longrope.attention_factor = 1.5;
  const Row rows[] = {
      {"gpt-oss", gpt_oss, 1.34657359, 1},
      {"DeepSeek-V3", deepseek(1), 1, 1.87385421},
      {"DeepSeek-V2", deepseek(0.707), 1, 1.58962617},
      {"DeepSeek-V3 in vLLM's words", v3, 1, 1.87385421},
      {"DeepSeek-V2 in vLLM's words", v2, 1, 1.58962617},
      {"DeepSeek-V4: mscale 0", v4, 1, 1},
      {"vLLM's defaults: all_dim 0 divides by 1", defaults, 1.36888795, 1},
      {"Ministral-3", ministral, 1, 1},
      {"an explicit factor wins over every formula", explicit_factor, 0.75, 1.87385421},
      {"mscale without mscale_all_dim is not used", only_mscale, 1.36888795, 1},
      {"a factor below 1 has no logarithm taken", short_of_one, 1, 1},
      {"longrope, 32 times over 4096", phi(48), 1.19023807, 1},
      {"longrope with an explicit factor", explicit_longrope, 1.5, 1},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const RopeSpec spec = spec_of(10000, 96, row.scaling, 131072);
    CHECK(near(frequencies(spec).attention_scale, row.attention_scale, 5e-9));
    CHECK(near(spec.softmax_scale(), row.softmax_scale, 5e-9));
    if (row.attention_scale == 1) CHECK(frequencies(spec).attention_scale == 1);
  }
}

TEST_CASE("a scaled plan says so in its class and carries the scale") {
  const RotationPlan plan = lower(spec_of(150000, 64, YarnScaling{32, 4096}), LaunchForm{});
  CHECK(plan.kernel_class.scaled);
  CHECK(near(plan.attention_scale, 1.34657359, 5e-9));
  CHECK_FALSE(lower(spec_of(10000, 64, deepseek(1)), LaunchForm{}).kernel_class.scaled);
}

TEST_CASE("dynamic scaling stretches the base from max_position_embeddings on") {
  struct Row {
    std::int64_t length;
    double base;
  };
  for (const Row& row :
       {Row{1, 10000}, Row{2048, 10000}, Row{2049, 10009.9207}, Row{4096, 30527.7367}, Row{8192, 72195.8601}}) {
    CAPTURE(row.length);
    CHECK(near(base_of(spec_of(10000, 128, DynamicScaling{2, 2048}, row.length)) / row.base, 1, 1e-8));
  }
}

TEST_CASE("ntk with the alpha that Hunyuan bakes into its theta gives that theta") {
  CHECK(near(base_of(spec_of(10000, 128, NtkScaling{1000})), 11158839.9251, 1e-3));
}

TEST_CASE("longrope switches factors and scale beyond its original length, not at it") {
  LongRopeScaling rule = phi(32);
  rule.short_mscale = 1.25;
  rule.long_mscale = 1.75;
  const Frequencies plain = frequencies(spec_of(10000, 64, NoScaling{}));
  for (const std::int64_t length : {1, 4095, 4096, 4097, 131072}) {
    CAPTURE(length);
    const bool is_long = length > 4096;
    const Frequencies result = frequencies(spec_of(10000, 64, rule, length));
    CHECK(result.attention_scale == (is_long ? 1.75 : 1.25));
    for (std::size_t i = 0; i < 32; ++i) CHECK(result.inv_freq[i] == plain.inv_freq[i] / (is_long ? 8 : 1));
  }
}

TEST_CASE("frequencies of a rule that depends on the length ask for it where none is set, and plans wait for it") {
  for (const Scaling& scaling : {Scaling{DynamicScaling{2, 2048}}, Scaling{phi(32)}}) {
    const RopeSpec spec = spec_of(10000, 64, scaling);
    INFO(spec.to_string());
    CHECK(RopeSpec::from_json(spec.to_json()) == spec);
    const RotationPlan plan = lower(spec, LaunchForm{});
    CHECK(plan.needs_length);
    CHECK(plan.steps.empty());
    RopeSpec known = spec;
    known.max_length = 4096;
    CHECK_FALSE(lower(known, LaunchForm{}).needs_length);
    const auto error = error_of([&] { return frequencies(spec); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == ErrorCode::unsupported);
    CHECK(contains(error->what(), "max_length: found nothing"));
    CHECK(contains(error->what(), std::string(scaling_rule_name(scaling))));
  }
}

TEST_CASE("proportional scaling turns the first pairs of the whole head and leaves the rest") {
  const Frequencies gemma_4 = frequencies(spec_of(1e6, 512, ProportionalScaling{1, 0.25}));
  REQUIRE(gemma_4.inv_freq.size() == 256);
  for (std::size_t i = 0; i < 256; ++i) {
    CAPTURE(i);
    CHECK((gemma_4.inv_freq[i] == 0) == (i >= 64));
    CHECK((gemma_4.steps[i] == 0) == (i >= 64));
  }
  // 512 lanes in the exponent: not those of rotary_dim 128.
  CHECK(near(gemma_4.inv_freq[1], std::pow(1e6, -2.0 / 512), 1e-15));
}

TEST_CASE("frequencies given one by one are kept to the last bit") {
  const std::vector<double> given{1.0, 0.123456789012345, 0.0, 1e-9};
  CHECK(frequencies(spec_of(7, 8, InvFreqScaling{given, std::nullopt})).inv_freq == given);
  CHECK(lower(spec_of(7, 8, InvFreqScaling{given, std::nullopt}), LaunchForm{}).hash() ==
        lower(spec_of(9, 8, InvFreqScaling{given, std::nullopt}), LaunchForm{}).hash());
}

TEST_CASE("a ramp that ends before it begins, which d - 1 makes of one beyond all pairs, divides every pair") {
  YarnScaling rule{8, 4096};
  rule.beta_fast = rule.beta_slow = 1e-9;
  rule.attention_factor = 1.0;
  CHECK(ramp_bounds(10000, 64, rule) == std::vector<double>{94, 63});
  CHECK(lower(spec_of(10000, 64, rule), LaunchForm{}).hash() ==
        lower(spec_of(10000, 64, LinearScaling{8}), LaunchForm{}).hash());
}

TEST_CASE("rules that come to nothing are the plan without scaling") {
  const std::string plain = lower(spec_of(10000, 64, NoScaling{}), LaunchForm{}).hash();
  LongRopeScaling ones = phi(32);
  ones.factor = 1.0;
  for (const Scaling& scaling : {Scaling{LinearScaling{1}}, Scaling{DynamicScaling{2, 4096}}, Scaling{NtkScaling{1}},
                                 Scaling{YarnScaling{1, 4096}}, Scaling{ones}, Scaling{ProportionalScaling{1, 1}},
                                 Scaling{DeepseekYarnScaling{1, 4096}}}) {
    const RopeSpec spec = spec_of(10000, 64, scaling, 4096);
    INFO(spec.to_string());
    CHECK(lower(spec, LaunchForm{}).hash() == plain);
  }
}

TEST_CASE("yarn and deepseek_yarn with the options of the other are one plan") {
  YarnScaling yarn = deepseek(0.707);
  yarn.attn_factor = 1.5;
  yarn.extrapolation_factor = 0.5;
  const DeepseekYarnScaling same{40, 4096, 32, 1, 0.707, 0.707, 0.5, 1.5};
  CHECK(lower(spec_of(10000, 64, yarn), LaunchForm{}).hash() == lower(spec_of(10000, 64, same), LaunchForm{}).hash());
}

TEST_CASE("every rule is found by its name, and no two rules share one") {
  std::set<std::string_view> names;
  for (const ScalingRule& rule : scaling_rules()) {
    names.insert(rule.name);
    REQUIRE(find_scaling_rule(rule.name) == &rule);
    CHECK(rule.keys().front() == "rope_type");
  }
  CHECK(names.size() == std::variant_size_v<Scaling>);
  CHECK(find_scaling_rule("su") == nullptr);
}
