#include "spec/frequencies.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "spec/axes.hpp"
#include "spec/scaling_rules.hpp"
#include "support/catch.hpp"
#include "support/hash.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

RopeSpec spec_of(double theta, std::int64_t rotary_dim, const Scaling& scaling = NoScaling{}) {
  RopeSpec spec;
  spec.theta = theta;
  spec.rotary_dim = rotary_dim;
  spec.q = Operand{1, rotary_dim, 0};
  spec.scaling = scaling;
  return spec;
}

std::string steps_hash(const std::vector<std::uint64_t>& steps) {
  std::string bytes;
  for (const std::uint64_t step : steps) {
    for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>((step >> shift) & 0xFF));
  }
  return blake3_hex(bytes, 16);
}

template <class Enum, std::size_t kCount>
Enum named(const std::string& name, const Enum (&all)[kCount]) {
  for (const Enum value : all) {
    if (name == to_string(value)) return value;
  }
  FAIL("no such name: " << name);
  return all[0];
}

Axes axes_of(const ObjectReader& reader) {
  Axes axes;
  for (const llvm::json::Value& size : *reader.find("sections")->getAsArray()) {
    axes.sections.push_back(*size.getAsInteger());
  }
  axes.order =
      named(reader.get_string("order", ""), {AxisOrder::chunked, AxisOrder::interleaved, AxisOrder::alternating});
  axes.frequencies = named(reader.get_string("frequencies", ""),
                           {AxisFrequencies::shared, AxisFrequencies::restarted, AxisFrequencies::strided});
  return axes;
}

double inv_freq_of(const llvm::json::Value& value) { return *value.getAsNumber(); }

// How many pairs llama3 leaves alone, blends and divides, judged by the result alone.
struct Branches {
  int unscaled = 0;
  int blended = 0;
  int divided = 0;
};

Branches branches_of(std::int64_t rotary_dim, const Llama3Scaling& rule) {
  const Frequencies scaled = frequencies(spec_of(500000.0, rotary_dim, rule));
  const Frequencies plain = frequencies(spec_of(500000.0, rotary_dim));
  const Frequencies divided = frequencies(spec_of(500000.0, rotary_dim, LinearScaling{rule.factor}));
  Branches branches;
  for (std::size_t i = 0; i < scaled.steps.size(); ++i) {
    if (scaled.steps[i] == plain.steps[i]) {
      ++branches.unscaled;
    } else if (scaled.steps[i] == divided.steps[i]) {
      ++branches.divided;
    } else {
      ++branches.blended;
    }
  }
  return branches;
}

}  // namespace

TEST_CASE("every step and inverse frequency is the correctly rounded one that mpmath gives") {
  const llvm::json::Object golden = parse_json_object(ropejit::test::read_test_file("golden/frequencies.json"));
  const llvm::json::Array* cases = golden.getArray("cases");
  REQUIRE(cases != nullptr);
  REQUIRE(cases->size() >= 50);
  int in_full = 0;
  std::set<std::size_t> rules;
  for (const llvm::json::Value& value : *cases) {
    const ObjectReader reader(*value.getAsObject());
    Scaling scaling = NoScaling{};
    if (const auto dict = reader.find_object("rope_scaling")) {
      scaling = require_scaling_rule(dict->get_string("rope_type", ""), "rope_type").read(*dict);
    }
    RopeSpec spec = spec_of(reader.get_number("rope_theta", {}), reader.get_int("rotary_dim", {}), scaling);
    spec.max_length = reader.find_int("max_length", {});
    INFO(spec.to_string());
    spec.validate();
    rules.insert(spec.scaling.index());
    const Frequencies result = frequencies(spec);
    CHECK(result.attention_scale == reader.get_number("attention_scale", {}));
    CHECK(spec.softmax_scale() == reader.get_number("softmax_scale", {}));
    CHECK(steps_hash(result.steps) == reader.get_string("steps_blake3", ""));
    const llvm::json::Value* steps = reader.find("steps");
    if (steps == nullptr) continue;
    ++in_full;
    const llvm::json::Array& inv_freq = *reader.find("inv_freq")->getAsArray();
    REQUIRE(result.steps.size() == steps->getAsArray()->size());
    REQUIRE(result.inv_freq.size() == inv_freq.size());
    for (std::size_t i = 0; i < result.steps.size(); ++i) {
      CAPTURE(i);
      CHECK(std::to_string(result.steps[i]) == (*steps->getAsArray())[i].getAsString()->str());
      CHECK(std::bit_cast<std::uint64_t>(result.inv_freq[i]) == std::bit_cast<std::uint64_t>(inv_freq_of(inv_freq[i])));
    }
  }
  CHECK(in_full >= 40);
  CHECK(rules.size() == std::variant_size_v<Scaling>);
}

TEST_CASE("axes and rounded frequencies come out as mpmath gives them, rounded once") {
  const llvm::json::Object golden = parse_json_object(ropejit::test::read_test_file("golden/frequencies.json"));
  const llvm::json::Array* cases = golden.getArray("cases_with_axes_or_rounding");
  REQUIRE(cases != nullptr);
  REQUIRE(cases->size() >= 19);
  int with_axes = 0;
  for (const llvm::json::Value& value : *cases) {
    const ObjectReader reader(*value.getAsObject());
    Scaling scaling = NoScaling{};
    if (const auto dict = reader.find_object("rope_scaling")) {
      scaling = require_scaling_rule(dict->get_string("rope_type", ""), "rope_type").read(*dict);
    }
    RopeSpec spec = spec_of(reader.get_number("rope_theta", {}), reader.get_int("rotary_dim", {}), scaling);
    spec.angle = named(reader.get_string("angle", ""),
                       {AngleRounding::exact, AngleRounding::fp32_inv_freq, AngleRounding::fp32});
    if (const auto axes = reader.find_object("axes")) spec.axes = axes_of(*axes);
    INFO(spec.to_string());
    spec.validate();
    const Frequencies result = frequencies(spec);
    const llvm::json::Array& steps = *reader.find("steps")->getAsArray();
    const llvm::json::Array& inv_freq = *reader.find("inv_freq")->getAsArray();
    const llvm::json::Array& fp32_bits = *reader.find("inv_freq_fp32_bits")->getAsArray();
    REQUIRE(result.steps.size() == steps.size());
    REQUIRE(result.inv_freq.size() == inv_freq.size());
    REQUIRE(result.inv_freq_fp32.size() == fp32_bits.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      CAPTURE(i);
      CHECK(std::to_string(result.steps[i]) == steps[i].getAsString()->str());
      CHECK(std::bit_cast<std::uint64_t>(result.inv_freq[i]) == std::bit_cast<std::uint64_t>(inv_freq_of(inv_freq[i])));
      CHECK(std::bit_cast<std::uint32_t>(result.inv_freq_fp32[i]) == *fp32_bits[i].getAsInteger());
    }
    const llvm::json::Value* axis_of_pairs = reader.find("axis_of_pairs");
    if (axis_of_pairs == nullptr) continue;
    ++with_axes;
    const std::vector<PairAxis> pairs = pair_axes(spec);
    REQUIRE(pairs.size() == axis_of_pairs->getAsArray()->size());
    std::vector<std::int64_t> placed(spec.axes.sections.size());
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      CAPTURE(i);
      CHECK(pairs[i].axis == *(*axis_of_pairs->getAsArray())[i].getAsInteger());
      CHECK(pairs[i].place == placed.at(pairs[i].axis)++);
    }
  }
  CHECK(with_axes >= 13);
}

TEST_CASE("frequencies beyond fp32 are infinite there, which only the exact angle allows") {
  RopeSpec spec = spec_of(1e-300, 8);
  const Frequencies result = frequencies(spec);
  CHECK(result.inv_freq_fp32.front() == 1.0f);
  CHECK(std::isinf(result.inv_freq_fp32.back()));
  CHECK(std::isfinite(result.inv_freq.back()));
}

TEST_CASE("the hashes of steps are those of the first release: they are cache keys") {
  struct Row {
    double theta;
    std::int64_t rotary_dim;
    Scaling scaling;
    const char* hash;
  };
  const Row rows[] = {
      {10000.0, 64, NoScaling{}, "8605b9fb68c0ce834d619fb328658c98"},
      {10000.0, 128, NoScaling{}, "5c4b0169daac4aa634f602917e39e60f"},
      {500000.0, 128, NoScaling{}, "db5d3ffeb3427381abb52a93caaf9afc"},
      {500000.0, 128, Llama3Scaling{8, 1, 4, 8192}, "0c155bcebdced7ac04e5f575bb8fd823"},
      {500000.0, 64, Llama3Scaling{32, 1, 4, 8192}, "6eadeae631f273dcbf134ab8a28d51c9"},
      {10000.0, 128, LinearScaling{8}, "b0eeb05facead3dfd73633138679b21a"},
      {1000000.0, 80, LinearScaling{2.5}, "e9461a01ba5a312fe42729425a85d687"},
      {8000000.0, 128, NoScaling{}, "e155e3003756ff2f8660801f237f5e75"},
      {1e9, 128, NoScaling{}, "a02941d05e7273c0f3e3dafcb980fecc"},
      {10000.0, 4096, NoScaling{}, "3b6865232b01d969e0070cc93f9fa95c"},
  };
  for (const Row& row : rows) {
    const RopeSpec spec = spec_of(row.theta, row.rotary_dim, row.scaling);
    INFO(spec.to_string());
    CHECK(steps_hash(frequencies(spec).steps) == row.hash);
  }
}

TEST_CASE("llama3 leaves, blends and divides the pairs that the published models say") {
  const Branches llama_3_1_8b = branches_of(128, Llama3Scaling{8, 1, 4, 8192});
  CHECK(llama_3_1_8b.unscaled == 29);
  CHECK(llama_3_1_8b.blended == 6);
  CHECK(llama_3_1_8b.divided == 29);
  const Branches llama_3_2_1b = branches_of(64, Llama3Scaling{32, 1, 4, 8192});
  CHECK(llama_3_2_1b.unscaled == 15);
  CHECK(llama_3_2_1b.blended == 3);
  CHECK(llama_3_2_1b.divided == 14);
}

TEST_CASE("llama3 with equal boundaries has no middle, and no NaN") {
  for (const double boundary : {1.0, 4.0, 0.001, 1e6}) {
    CAPTURE(boundary);
    const Branches branches = branches_of(128, Llama3Scaling{8, boundary, boundary, 8192});
    CHECK(branches.blended == 0);
    for (const double w : frequencies(spec_of(5e5, 128, Llama3Scaling{8, boundary, boundary, 8192})).inv_freq) {
      CHECK(std::isfinite(w));
      CHECK(w > 0);
    }
  }
}

TEST_CASE("the first pair turns by one radian a position, and theta 1 makes all pairs the same") {
  // 2^64 / (2 pi) = 2935890503282001226.2...
  CHECK(frequencies(spec_of(10000.0, 128)).steps[0] == 2935890503282001226u);
  for (const std::uint64_t step : frequencies(spec_of(1.0, 64)).steps) CHECK(step == 2935890503282001226u);
}

TEST_CASE("frequencies are fast enough to compute at every get") {
  const auto milliseconds = [](const RopeSpec& spec) {
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      const Frequencies result = frequencies(spec);
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
      REQUIRE(result.steps.size() == static_cast<std::size_t>(spec.rotary_dim / 2));
      best = std::min(best, took.count());
    }
    return best;
  };
  const double small = milliseconds(spec_of(500000.0, 128, Llama3Scaling{}));
  const double large = milliseconds(spec_of(500000.0, 4096, Llama3Scaling{}));
  INFO("d 128: " << small << " ms, d 4096: " << large << " ms");
  // An optimised build takes 0.05 and 1 ms, one with sanitizers four times that; the rest is for busy machines.
  CHECK(small < 5);
  CHECK(large < 100);
}
