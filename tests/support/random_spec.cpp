#include "support/random_spec.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

namespace ropejit::test {
namespace {

std::int64_t even_up_to(std::mt19937_64& random, std::int64_t most) {
  return 2 * static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most / 2 + 1));
}

Operand random_operand(std::mt19937_64& random, std::int64_t rotary_dim, std::int64_t heads) {
  constexpr std::int64_t kExtra[] = {0, 0, 0, 2, 16, 64, 128};
  Operand operand;
  operand.heads = heads;
  operand.head_dim = rotary_dim + pick(random, kExtra);
  constexpr int kLanes[] = {0, 0, 1, 2};
  switch (pick(random, kLanes)) {
    case 0: break;
    case 1: operand.first_lane = operand.head_dim - rotary_dim; break;
    default: operand.first_lane = even_up_to(random, operand.head_dim - rotary_dim); break;
  }
  return operand;
}

std::vector<double> random_list(std::mt19937_64& random, std::int64_t size, double least, double most) {
  std::uniform_real_distribution<double> between(least, most);
  std::vector<double> values;
  for (std::int64_t i = 0; i < size; ++i) values.push_back(between(random));
  return values;
}

YarnScaling random_yarn(std::mt19937_64& random, double factor) {
  constexpr double kFast[] = {32.0, 32.0, 24.5, 1.0};
  constexpr double kMscale[] = {0.0, 0.0, 0.707, 1.0};
  constexpr double kShare[] = {1.0, 1.0, 1.0, 0.5, 0.0};
  constexpr std::int64_t kOriginal[] = {4096, 32768, 100, 16384};
  YarnScaling yarn;
  yarn.factor = factor;
  yarn.original_max_position_embeddings = pick(random, kOriginal);
  yarn.beta_fast = pick(random, kFast);
  yarn.truncate = random() % 2 != 0;
  if (random() % 4 == 0) yarn.attention_factor = 0.3125;
  yarn.mscale = pick(random, kMscale);
  yarn.mscale_all_dim = pick(random, kMscale);
  yarn.extrapolation_factor = pick(random, kShare);
  if (random() % 4 == 0) yarn.attn_factor = 1.3;
  return yarn;
}

// Sets max_length where the rule needs it.
Scaling random_scaling(std::mt19937_64& random, RopeSpec& spec) {
  constexpr double kFactors[] = {1.0, 2.0, 3.5, 8.0, 32.0, 0.5};
  constexpr std::int64_t kLengths[] = {1, 2048, 2049, 8192, 131072};
  const double factor = pick(random, kFactors);
  const std::int64_t pairs = spec.rotary_dim / 2;
  switch (random() % 10) {
    case 0: return NoScaling{};
    case 1: return LinearScaling{factor};
    case 2: {
      constexpr double kHigh[] = {1.0, 2.0, 4.0};
      constexpr std::int64_t kOriginal[] = {512, 8192, 131072};
      return Llama3Scaling{factor, 1.0, pick(random, kHigh), pick(random, kOriginal)};
    }
    case 3:
      spec.rotary_dim = std::max<std::int64_t>(4, spec.rotary_dim);
      spec.max_length = pick(random, kLengths);
      return DynamicScaling{factor, 2048};
    case 4: spec.rotary_dim = std::max<std::int64_t>(4, spec.rotary_dim); return NtkScaling{factor};
    case 5: spec.theta = std::max(spec.theta, 1.5); return random_yarn(random, factor);
    case 6: {
      spec.max_length = pick(random, kLengths);
      LongRopeScaling rope;
      rope.short_factor = random_list(random, pairs, 0.9, 2.0);
      rope.long_factor = random_list(random, pairs, 1.0, 64.0);
      rope.original_max_position_embeddings = 2048;
      rope.factor = factor;
      if (random() % 4 == 0) rope.attention_factor = 1.5;
      if (random() % 4 == 0) rope.long_mscale = 1.24;
      return rope;
    }
    case 7: return ProportionalScaling{factor, random() % 2 != 0 ? 0.25 : 0.8};
    case 8: {
      spec.theta = std::max(spec.theta, 1.5);
      const YarnScaling yarn = random_yarn(random, factor);
      return DeepseekYarnScaling{factor,
                                 yarn.original_max_position_embeddings,
                                 yarn.beta_fast,
                                 yarn.beta_slow,
                                 yarn.mscale,
                                 yarn.mscale_all_dim,
                                 yarn.extrapolation_factor,
                                 yarn.attn_factor};
    }
    default: {
      InvFreqScaling given{random_list(random, pairs, 0.0, 3.0), std::nullopt};
      given.inv_freq.back() = 0;
      if (random() % 2 != 0) given.attention_factor = 2.5;
      return given;
    }
  }
}

bool is_equal(const std::vector<std::int64_t>& sections) {
  return std::count(sections.begin(), sections.end(), sections.front()) == static_cast<std::ptrdiff_t>(sections.size());
}

std::int64_t up_to(std::mt19937_64& random, std::int64_t most) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
}

// Sections that agree with the order; equal ones where the number of pairs allows and the die says so.
Axes random_axes(std::mt19937_64& random, std::int64_t pairs) {
  constexpr AxisOrder kOrders[] = {AxisOrder::chunked, AxisOrder::chunked, AxisOrder::interleaved,
                                   AxisOrder::alternating};
  Axes axes;
  axes.order = pick(random, kOrders);
  const std::int64_t n = axes.order == AxisOrder::alternating ? 3 : 2 + up_to(random, 2);
  axes.sections.assign(static_cast<std::size_t>(n), 0);
  std::int64_t left = pairs;
  switch (axes.order) {
    case AxisOrder::chunked:
      if (pairs % n == 0 && random() % 2 != 0) {
        axes.sections.assign(static_cast<std::size_t>(n), pairs / n);
        return axes;
      }
      for (std::int64_t& section : axes.sections) {
        section = up_to(random, left);
        left -= section;
      }
      axes.sections.back() += left;
      return axes;
    case AxisOrder::interleaved:
      for (std::int64_t a = 1; a < n; ++a) {
        std::int64_t& section = axes.sections[static_cast<std::size_t>(a)];
        section = up_to(random, (pairs - a + n - 1) / n);
        left -= section;
      }
      break;
    case AxisOrder::alternating:
      axes.sections[1] = axes.sections[2] = up_to(random, pairs / 2);
      left -= 2 * axes.sections[1];
      break;
  }
  axes.sections[0] = left;
  return axes;
}

// After the scaling and rotary_dim: layouts and frequencies depend on the axes.
void set_axes(std::mt19937_64& random, RopeSpec& spec) {
  constexpr AxisFrequencies kFrequencies[] = {AxisFrequencies::shared, AxisFrequencies::restarted,
                                              AxisFrequencies::strided};
  spec.axes = random_axes(random, spec.rotary_dim / 2);
  if (std::holds_alternative<NoScaling>(spec.scaling) || std::holds_alternative<LinearScaling>(spec.scaling)) {
    spec.axes.frequencies = pick(random, kFrequencies);
  }
  if (spec.axes.order != AxisOrder::chunked || !is_equal(spec.axes.sections)) return;
  if (random() % 2 != 0) spec.layout = Layout::split_sections;
  if (random() % 4 == 0) spec.layout_out = Layout::split_sections;
}

// On q, as often on q and k, now and then on k alone.
void set_norms(std::mt19937_64& random, RopeSpec& spec) {
  if (random() % 3 != 0) return;
  const std::uint64_t which = random() % 8;
  const bool k_alone = spec.k && which == 0;
  const bool with_k = spec.k && which < 5;
  if (!k_alone && may_be_normed(spec, spec.q)) spec.q.norm = random_norm(random);
  if (with_k && may_be_normed(spec, *spec.k)) spec.k->norm = random_norm(random);
  if (random() % 2 == 0) spec.round_after.norm = true;
  if (random() % 2 == 0) spec.round_after.weight = true;
}

}  // namespace

bool may_be_normed(const RopeSpec& spec, const Operand& operand) {
  return spec.direction == Direction::forward && operand.head_dim <= 1024;
}

Norm random_norm(std::mt19937_64& random) {
  constexpr double kEps[] = {1e-6, 1e-5, 1e-12, 0.1};
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  Norm norm;
  norm.eps = pick(random, kEps);
  if (random() % 2 == 0) norm.weight_dtype = pick(random, kTypes);
  if (random() % 4 == 0) norm.statistic = Statistic::given;
  return norm;
}

RopeSpec random_spec(std::mt19937_64& random, Norms norms) {
  constexpr std::int64_t kRotary[] = {2, 4, 6, 8, 20, 24, 32, 48, 64, 66, 80, 96, 112, 128, 160, 192, 256, 576};
  constexpr std::int64_t kHeads[] = {1, 2, 3, 4, 7, 8, 9, 28, 71};
  constexpr double kTheta[] = {10000.0, 500000.0, 1e6, 100.0, 1.0, 8e6 + 0.125};
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  constexpr Layout kLayouts[] = {Layout::split_half, Layout::interleaved};
  constexpr Direction kDirections[] = {Direction::forward, Direction::forward, Direction::adjoint, Direction::inverse,
                                       Direction::shift};
  constexpr Rounding kRoundings[] = {Rounding::exact, Rounding::exact, Rounding::p1, Rounding::p2, Rounding::p3};
  constexpr AngleRounding kAngles[] = {AngleRounding::exact, AngleRounding::exact, AngleRounding::fp32_inv_freq,
                                       AngleRounding::fp32};
  RopeSpec spec;
  spec.layout = pick(random, kLayouts);
  if (random() % 4 == 0) spec.layout_out = pick(random, kLayouts);
  spec.direction = pick(random, kDirections);
  spec.dtype = pick(random, kTypes);
  spec.theta = pick(random, kTheta);
  spec.rotary_dim = pick(random, kRotary);
  spec.scaling = random_scaling(random, spec);
  spec.rounding = pick(random, kRoundings);
  spec.angle = pick(random, kAngles);
  if (random() % 4 == 0) spec.sine = Sine::hardware;
  if (random() % 3 == 0) set_axes(random, spec);
  const std::int64_t heads = pick(random, kHeads);
  spec.q = random_operand(random, spec.rotary_dim, heads);
  if (random() % 4 != 0) spec.k = random_operand(random, spec.rotary_dim, std::max<std::int64_t>(1, heads / 4));
  if (norms == Norms::some && may_be_normed(spec, spec.q)) set_norms(random, spec);
  return spec;
}

}  // namespace ropejit::test
