// What is wrong with a spec in C++ is told in one line that names the field, whoever asks.
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ropejit/spec.hpp"
#include "spec/bad_input.hpp"
#include "spec/scaling_fields.hpp"

using namespace ropejit;
using namespace ropejit::test;

TEST_CASE("a bad struct names its field") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  struct Change {
    const char* field;
    std::function<void(RopeSpec&)> change;
  };
  const Change changes[] = {
      {"layout", [](RopeSpec& s) { s.layout = static_cast<Layout>(3); }},
      {"layout", [](RopeSpec& s) { s.layout = Layout::split_sections; }},
      {"layout_out", [](RopeSpec& s) { s.layout_out = static_cast<Layout>(-1); }},
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
      {"q.rotates", [](RopeSpec& s) { s.q.rotates = false; }},
      {"v.rotates",
       [](RopeSpec& s) {
         s.v = Operand{1, 64};
         s.v->rotates = true;
       }},
      {"gate.heads", [](RopeSpec& s) { s.gate = Operand{}; }},
      {"gate.head_dim",
       [](RopeSpec& s) {
         s.gate = Operand{1, 63};
       }},
      {"v.first_lane",
       [](RopeSpec& s) {
         s.v = Operand{1, 64, 2};
       }},
      {"v.heads",
       [](RopeSpec& s) {
         s.v = Operand{0, 64};
       }},
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
      {"axes.sections", [](RopeSpec& s) { s.axes.sections = {64}; }},
      {"axes.sections",
       [](RopeSpec& s) {
         s.axes.sections = {16, 16, 16, 8, 8};
       }},
      {"axes.sections",
       [](RopeSpec& s) {
         s.axes.sections = {32, 31};
       }},
      {"axes.sections[0]",
       [](RopeSpec& s) {
         s.axes.sections = {std::numeric_limits<std::int64_t>::min(), 0};
       }},
      {"axes.order", [](RopeSpec& s) { s.axes.order = static_cast<AxisOrder>(7); }},
      {"axes.frequencies", [](RopeSpec& s) { s.axes.frequencies = static_cast<AxisFrequencies>(7); }},
      {"axes.frequencies",
       [](RopeSpec& s) {
         s.axes = {{32, 32}, AxisOrder::chunked, AxisFrequencies::restarted};
       }},
      {"rounding", [](RopeSpec& s) { s.rounding = static_cast<Rounding>(4); }},
      {"angle", [](RopeSpec& s) { s.angle = static_cast<AngleRounding>(3); }},
      {"angle",
       [](RopeSpec& s) {
         s.scaling = InvFreqScaling{std::vector<double>(64, 1e39), std::nullopt};
         s.angle = AngleRounding::fp32_inv_freq;
       }},
      {"sine", [](RopeSpec& s) { s.sine = static_cast<Sine>(2); }},
      {"q.dtype_out", [](RopeSpec& s) { s.q.dtype_out = static_cast<DType>(3); }},
      {"k.dtype_out", [](RopeSpec& s) { s.k->dtype_out = static_cast<DType>(-1); }},
      {"q.norm.eps", [](RopeSpec& s) { s.q.norm = Norm{0}; }},
      {"q.norm.eps", [](RopeSpec& s) { s.q.norm = Norm{-1}; }},
      {"q.norm.eps", [](RopeSpec& s) { s.q.norm = Norm{2}; }},
      {"q.norm.eps", [&](RopeSpec& s) { s.q.norm = Norm{nan}; }},
      {"q.norm.eps", [&](RopeSpec& s) { s.q.norm = Norm{inf}; }},
      {"k.norm.statistic",
       [](RopeSpec& s) {
         s.k->norm = Norm{1e-6, std::nullopt, static_cast<Statistic>(3)};
       }},
      {"k.norm.weight_dtype",
       [](RopeSpec& s) {
         s.k->norm = Norm{1e-6, static_cast<DType>(3)};
       }},
      {"q.norm",
       [](RopeSpec& s) {
         s.q.norm = Norm{};
         s.direction = Direction::inverse;
       }},
      {"k.norm",
       [](RopeSpec& s) {
         s.k->norm = Norm{};
         s.k->head_dim = 2048;
       }},
      {"rope_scaling.inv_freq[63]",
       [&](RopeSpec& s) {
         s.scaling = InvFreqScaling{std::vector<double>(64, 1.0), std::nullopt};
         std::get<InvFreqScaling>(s.scaling).inv_freq[63] = nan;
       }},
  };
  const RopeSpec good = RopeSpec::from_json(kGoodSpec);
  for (const Change& row : changes) {
    RopeSpec spec = good;
    row.change(spec);
    check_refused(spec, row.field);
  }
}

namespace {

// Puts a value into the field whose turn it is, and says which that was.
struct Spoiler {
  int turn;
  double value;
  std::string field = {};
  bool may_be_zero = false;

  void put(const char* key, double& number, bool or_zero) {
    if (turn-- != 0) return;
    number = value;
    field = key;
    may_be_zero = or_zero;
  }
  void number(const char* key, const char*, double& number, const internal::PositiveRange& range, const auto&) {
    put(key, number, range.or_zero);
  }
  void maybe(const char* key, const char*, std::optional<double>& number, const internal::PositiveRange& range) {
    double given = 0;
    put(key, given, range.or_zero);
    if (field == key) number = given;
  }
  void count(const char*, const char*, std::int64_t&, const internal::IntRange&) {}
  void flag(const char*, const char*, bool&, bool) {}
  void list(const char* key, const char*, std::vector<double>& numbers, const internal::PositiveRange& range) {
    put((std::string(key) + "[1]").c_str(), numbers[1], range.or_zero);
  }
};

}  // namespace

TEST_CASE(
    "every number of every rule is refused by name where it is negative, NaN or infinite, or a zero that divides") {
  const std::vector<double> list(64, 1.0);
  const Scaling rules[] = {LinearScaling{2},          Llama3Scaling{},
                           DynamicScaling{2, 2048},   NtkScaling{2},
                           YarnScaling{4, 4096},      LongRopeScaling{list, list, 4096, 4.0},
                           ProportionalScaling{1, 1}, DeepseekYarnScaling{4},
                           InvFreqScaling{list}};
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double values[] = {-1.0, -kInfinity, kInfinity, std::numeric_limits<double>::quiet_NaN(), 0.0};
  int fields = 0;
  for (const Scaling& rule : rules) {
    RopeSpec good = RopeSpec::from_json(kGoodSpec);
    good.scaling = rule;
    REQUIRE_NOTHROW(good.validate());
    for (int turn = 0;; ++turn) {
      bool had_a_turn = false;
      for (const double value : values) {
        RopeSpec spec = good;
        Spoiler spoiler{turn, value};
        std::visit([&](auto& chosen) { internal::visit_fields(chosen, spoiler); }, spec.scaling);
        if (spoiler.field.empty()) break;
        had_a_turn = true;
        if (value == 0 && spoiler.may_be_zero) continue;
        CAPTURE(spec.to_string(), spoiler.field, value);
        const auto error = error_of([&] {
          spec.validate();
          return 0;
        });
        REQUIRE(error);
        CHECK(error->code() == kRange);
        CHECK(contains(error->what(), "rope_scaling." + spoiler.field + ":"));
      }
      if (!had_a_turn) break;
      ++fields;
    }
  }
  CHECK(fields == 31);
}
