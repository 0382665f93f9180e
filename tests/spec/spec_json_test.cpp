#include <cmath>
#include <random>
#include <string>

#include "ropejit/error.hpp"
#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using ropejit::test::contains;
using ropejit::test::error_of;

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
    const std::int64_t rule = integer(0, 2);
    if (rule == 1) spec.scaling = LinearScaling{positive(-100, 1000)};
    if (rule == 2) {
      const double low = positive(-50, 50);
      spec.scaling = Llama3Scaling{positive(-100, 1000), low, integer(0, 3) == 0 ? low : low * positive(0, 30),
                                   integer(1, std::int64_t{1} << integer(1, 53))};
    }
    return spec;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace

TEST_CASE("any valid spec survives JSON unchanged, to the last bit") {
  Random random(20240607);
  for (int i = 0; i < 2000; ++i) {
    const RopeSpec spec = random.spec();
    INFO(spec.to_string());
    const std::string json = spec.to_json();
    const RopeSpec back = RopeSpec::from_json(json);
    CHECK(back == spec);
    CHECK(back.to_json() == json);
  }
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

TEST_CASE("equality of specs looks at every field") {
  Random random(7);
  const RopeSpec spec = random.spec();
  RopeSpec other = spec;
  CHECK(other == spec);
  other.layout = static_cast<Layout>(1 - static_cast<int>(spec.layout));
  CHECK(other != spec);
  other = spec, other.direction = static_cast<Direction>(1 - static_cast<int>(spec.direction));
  CHECK(other != spec);
  other = spec, other.dtype = static_cast<DType>((static_cast<int>(spec.dtype) + 1) % 3);
  CHECK(other != spec);
  other = spec, other.theta = std::nextafter(spec.theta, 0);
  CHECK(other != spec);
  other = spec, other.rotary_dim += 2;
  CHECK(other != spec);
  other = spec, other.q.heads += 1;
  CHECK(other != spec);
  other = spec, other.q.head_dim += 2;
  CHECK(other != spec);
  other = spec, other.q.first_lane += 2;
  CHECK(other != spec);
  other = spec;
  if (other.k) {
    other.k.reset();
  } else {
    other.k = other.q;
  }
  CHECK(other != spec);
  other = spec, other.scaling = LinearScaling{123};
  CHECK(other != spec);
}

TEST_CASE("a form survives JSON, and its absent keys take the defaults") {
  for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
    for (const Strides strides : {Strides::contiguous, Strides::free}) {
      for (const PositionSource positions : {PositionSource::start, PositionSource::ids32, PositionSource::ids64}) {
        const LaunchForm form{placement, strides, positions};
        CHECK(LaunchForm::from_json(form.to_json()) == form);
      }
    }
  }
  CHECK(LaunchForm::from_json("{}") == LaunchForm{});
  CHECK(LaunchForm::in_place_ids().to_json() ==
        R"({"placement":"in_place","strides":"contiguous","positions":"ids64"})");
  CHECK(LaunchForm::in_place_start() == LaunchForm{Placement::in_place, Strides::contiguous, PositionSource::start});
  CHECK(LaunchForm::out_of_place_start().placement == Placement::out_of_place);
  CHECK(LaunchForm::out_of_place_ids(PositionSource::ids32).with_free_strides() ==
        LaunchForm{Placement::out_of_place, Strides::free, PositionSource::ids32});
}

TEST_CASE("a form with an unknown key or value is refused by name") {
  struct Row {
    const char* json;
    const char* field;
    ErrorCode code;
  };
  const Row rows[] = {
      {R"({"place": "in_place"})", "place", ErrorCode::parse_error},
      {R"({"placement": "inplace"})", "placement", ErrorCode::invalid_argument},
      {R"({"strides": 3})", "strides", ErrorCode::parse_error},
      {R"({"positions": "ids16"})", "positions", ErrorCode::invalid_argument},
      {R"({"positions": "start", "positions": "start"})", "positions", ErrorCode::parse_error},
      {"", "JSON", ErrorCode::parse_error},
      {"[]", "JSON", ErrorCode::parse_error},
  };
  for (const Row& row : rows) {
    INFO(row.json);
    const auto error = error_of([&] { return LaunchForm::from_json(row.json); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == row.code);
    CHECK(contains(error->what(), row.field));
    CHECK(ropejit::test::is_one_line(error->what()));
  }
}
