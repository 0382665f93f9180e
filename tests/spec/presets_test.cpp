#include "ropejit/presets.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "spec/errors.hpp"
#include "spec/round_points.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using ropejit::test::contains;
using ropejit::test::error_of;

namespace {

constexpr Engine kEngines[] = {Engine::exact,      Engine::vllm_fused,   Engine::vllm,
                               Engine::flashinfer, Engine::tensorrt_llm, Engine::aiter};

RopeSpec plain() {
  RopeSpec spec;
  spec.rotary_dim = 64;
  spec.q = Operand{8, 128, 0};
  spec.k = Operand{2, 128, 0};
  spec.v = Operand{2, 128, 0};
  return spec;
}

RopeSpec normed() {
  RopeSpec spec = plain();
  spec.q.norm = spec.k->norm = Norm{};
  return spec;
}

/// Llama 4's, which norms what has rotated.
RopeSpec without_weights() {
  RopeSpec spec = normed();
  spec.q.norm->weight = spec.k->norm->weight = NormWeight::none;
  spec.q.order = spec.k->order = {StageName::rotate, StageName::norm};
  return spec;
}

RopeSpec with_biases() {
  RopeSpec spec = normed();
  for (Operand* const operand : {&spec.q, &*spec.k}) {
    operand->norm->kind = NormKind::layer;
    operand->norm->bias = true;
  }
  return spec;
}

/// A norm of k and of v alone: v's has other ends than k's.
RopeSpec normed_k() {
  RopeSpec spec = normed();
  spec.q.norm.reset();
  spec.v->norm = Norm{};
  spec.v->norm->weight = NormWeight::none;
  return spec;
}

RopeSpec of_many_stages() {
  RopeSpec spec = normed();
  spec.q.bias = true;
  spec.q.temperature = Temperature{};
  spec.k->clamp = 8;
  spec.v->head_scales = true;
  return spec;
}

std::string points(const RopeSpec& spec) {
  return fmt::format("{}", fmt::join(internal::names_of(spec.round_after), " "));
}

}  // namespace

TEST_CASE("each engine rounds at the places at which its kernels store, or round between norm and rotation") {
  struct Row {
    Engine engine;
    const char* plain;
    const char* normed;
    const char* without_weights;
    const char* with_biases;
    const char* normed_k;
    const char* of_many_stages;
  };
  const Row rows[] = {
      {Engine::exact, "", "", "", "", "", ""},
      {Engine::vllm_fused, "", "", "rotation", "", "", "bias scale rotation"},
      {Engine::vllm, "", "weight", "norm rotation", "norm_bias", "weight", "weight bias scale rotation"},
      {Engine::flashinfer, "", "weight", "norm rotation", "norm_bias", "weight", "weight bias scale rotation"},
      {Engine::tensorrt_llm, "", "", "rotation", "", "", "bias scale rotation"},
      {Engine::aiter, "", "weight", "norm rotation", "norm_bias", "weight", "weight bias scale rotation"},
  };
  for (const Row& row : rows) {
    INFO(to_string(row.engine));
    CHECK(points(rounded_as(plain(), row.engine)) == row.plain);
    CHECK(points(rounded_as(normed(), row.engine)) == row.normed);
    CHECK(points(rounded_as(without_weights(), row.engine)) == row.without_weights);
    CHECK(points(rounded_as(with_biases(), row.engine)) == row.with_biases);
    CHECK(points(rounded_as(normed_k(), row.engine)) == row.normed_k);
    CHECK(points(rounded_as(of_many_stages(), row.engine)) == row.of_many_stages);
  }
}

TEST_CASE("a preset replaces every rounding that a spec had, and leaves all else of it") {
  for (const Engine engine : kEngines) {
    INFO(to_string(engine));
    RopeSpec before = of_many_stages();
    before.theta = 5e5;
    before.angle = AngleRounding::fp32;
    before.sine = Sine::hardware;
    RopeSpec other = before;
    other.rounding = Rounding::p1;
    other.round_after.statistic = other.round_after.norm = other.round_after.tau = true;
    RopeSpec after = rounded_as(other, engine);
    CHECK(after == rounded_as(before, engine));
    CHECK(after == rounded_as(after, engine));
    CHECK(after.rounding == Rounding::exact);
    after.round_after = {};
    CHECK(after == before);
    CHECK_NOTHROW(rounded_as(other, engine).validate());
  }
}

TEST_CASE("what is no engine is refused by its number") {
  const auto error = error_of([] { return rounded_as(normed(), static_cast<Engine>(77)); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::invalid_argument);
  CHECK(contains(error->what(), "engine: found 77, allowed: exact, vllm_fused, vllm, flashinfer, tensorrt_llm, aiter"));
  CHECK(to_string(static_cast<Engine>(77)) == std::string("unknown"));
}
