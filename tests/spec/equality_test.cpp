// Equality looks at every field: specs and rules that differ in one are different.
#include <cmath>
#include <optional>

#include "ropejit/spec.hpp"
#include "support/catch.hpp"

using namespace ropejit;

TEST_CASE("equality of specs looks at every field") {
  RopeSpec spec;
  spec.rotary_dim = 32;
  spec.q = Operand{4, 64, 8};
  spec.k = Operand{2, 64, 8};
  spec.scaling = LinearScaling{2};
  spec.axes = {{6, 5, 5}, AxisOrder::interleaved};
  RopeSpec other = spec;
  CHECK(other == spec);
  other.layout = static_cast<Layout>((static_cast<int>(spec.layout) + 1) % 3);
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
  other.k.reset();
  CHECK(other != spec);
  other = spec, other.k->heads += 1;
  CHECK(other != spec);
  other = spec, other.scaling = LinearScaling{123};
  CHECK(other != spec);
  other = spec, other.max_length = spec.max_length.value_or(0) + 1;
  CHECK(other != spec);
  other = spec, other.axes.sections.push_back(1);
  CHECK(other != spec);
  other = spec, other.axes.order = static_cast<AxisOrder>((static_cast<int>(spec.axes.order) + 1) % 3);
  CHECK(other != spec);
  other = spec,
  other.axes.frequencies = static_cast<AxisFrequencies>((static_cast<int>(spec.axes.frequencies) + 1) % 3);
  CHECK(other != spec);
  other = spec, other.rounding = static_cast<Rounding>((static_cast<int>(spec.rounding) + 1) % 4);
  CHECK(other != spec);
  other = spec, other.angle = static_cast<AngleRounding>((static_cast<int>(spec.angle) + 1) % 3);
  CHECK(other != spec);
  other = spec, other.sine = static_cast<Sine>(1 - static_cast<int>(spec.sine));
  CHECK(other != spec);
  other = spec, other.q.rotates = true;
  CHECK(other != spec);
  other = spec, other.q.dtype_out = spec.q.dtype_out == DType::fp32 ? DType::fp16 : DType::fp32;
  CHECK(other != spec);
  other = spec, other.layout_out = Layout::split_sections;
  CHECK(other != spec);
  other = spec, other.round_after.norm = true;
  CHECK(other != spec);
  other = spec, other.round_after.weight = true;
  CHECK(other != spec);
  other = spec, other.q.norm = Norm{};
  CHECK(other != spec);
  other = spec, other.k->norm = Norm{};
  CHECK(other != spec);
  spec.q.norm = Norm{1e-6, DType::bf16};
  other = spec;
  CHECK(other == spec);
  other = spec, other.q.norm->eps = std::nextafter(1e-6, 0);
  CHECK(other != spec);
  // Written out it is another spec, though it means the same.
  other = spec, other.q.norm->weight_dtype = std::nullopt;
  CHECK(other != spec);
  other = spec, other.q.norm->weight_dtype = DType::fp32;
  CHECK(other != spec);
  other = spec, other.q.norm->statistic = Statistic::given;
  CHECK(other != spec);
}

TEST_CASE("equality of rules looks at every field") {
  // Each row differs from the one before it in one field.
  const Scaling rows[] = {
      LinearScaling{2},
      LinearScaling{3},
      Llama3Scaling{8, 1, 4, 8192},
      Llama3Scaling{9, 1, 4, 8192},
      Llama3Scaling{9, 2, 4, 8192},
      Llama3Scaling{9, 2, 5, 8192},
      Llama3Scaling{9, 2, 5, 8193},
      DynamicScaling{2, 4096},
      DynamicScaling{3, 4096},
      DynamicScaling{3, 4097},
      NtkScaling{2},
      NtkScaling{3},
      YarnScaling{4, 8192, 16, 2, false, 1.5, 0.7, 0.8, 0.5, 1.25, true},
      YarnScaling{5, 8192, 16, 2, false, 1.5, 0.7, 0.8, 0.5, 1.25, true},
      YarnScaling{5, 8193, 16, 2, false, 1.5, 0.7, 0.8, 0.5, 1.25, true},
      YarnScaling{5, 8193, 17, 2, false, 1.5, 0.7, 0.8, 0.5, 1.25, true},
      YarnScaling{5, 8193, 17, 3, false, 1.5, 0.7, 0.8, 0.5, 1.25, true},
      YarnScaling{5, 8193, 17, 3, true, 1.5, 0.7, 0.8, 0.5, 1.25, true},
      YarnScaling{5, 8193, 17, 3, true, std::nullopt, 0.7, 0.8, 0.5, 1.25, true},
      YarnScaling{5, 8193, 17, 3, true, std::nullopt, 0.6, 0.8, 0.5, 1.25, true},
      YarnScaling{5, 8193, 17, 3, true, std::nullopt, 0.6, 0.9, 0.5, 1.25, true},
      YarnScaling{5, 8193, 17, 3, true, std::nullopt, 0.6, 0.9, 0.4, 1.25, true},
      YarnScaling{5, 8193, 17, 3, true, std::nullopt, 0.6, 0.9, 0.4, 1.5, true},
      YarnScaling{5, 8193, 17, 3, true, std::nullopt, 0.6, 0.9, 0.4, 1.5, false},
      LongRopeScaling{{1}, {2}, 4096, 32.0, 1.5, 1.25, 1.75},
      LongRopeScaling{{3}, {2}, 4096, 32.0, 1.5, 1.25, 1.75},
      LongRopeScaling{{3}, {3}, 4096, 32.0, 1.5, 1.25, 1.75},
      LongRopeScaling{{3}, {3}, 4097, 32.0, 1.5, 1.25, 1.75},
      LongRopeScaling{{3}, {3}, 4097, std::nullopt, 1.5, 1.25, 1.75},
      LongRopeScaling{{3}, {3}, 4097, std::nullopt, 2.5, 1.25, 1.75},
      LongRopeScaling{{3}, {3}, 4097, std::nullopt, 2.5, 2.25, 1.75},
      LongRopeScaling{{3}, {3}, 4097, std::nullopt, 2.5, 2.25, 2.75},
      ProportionalScaling{1, 0.25},
      ProportionalScaling{2, 0.25},
      ProportionalScaling{2, 0.5},
      DeepseekYarnScaling{40, 4096, 32, 1, 0.7, 0.5, 1, 1},
      DeepseekYarnScaling{41, 4096, 32, 1, 0.7, 0.5, 1, 1},
      DeepseekYarnScaling{41, 4097, 32, 1, 0.7, 0.5, 1, 1},
      DeepseekYarnScaling{41, 4097, 33, 1, 0.7, 0.5, 1, 1},
      DeepseekYarnScaling{41, 4097, 33, 2, 0.7, 0.5, 1, 1},
      DeepseekYarnScaling{41, 4097, 33, 2, 0.8, 0.5, 1, 1},
      DeepseekYarnScaling{41, 4097, 33, 2, 0.8, 0.6, 1, 1},
      DeepseekYarnScaling{41, 4097, 33, 2, 0.8, 0.6, 0.5, 1},
      DeepseekYarnScaling{41, 4097, 33, 2, 0.8, 0.6, 0.5, 2},
      InvFreqScaling{{1, 2}, 1.5},
      InvFreqScaling{{1, 3}, 1.5},
      InvFreqScaling{{1, 3}, std::nullopt},
  };
  for (const Scaling& a : rows) {
    for (const Scaling& b : rows) CHECK((a == b) == (&a == &b));
  }
}
