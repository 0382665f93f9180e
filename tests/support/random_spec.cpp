#include "support/random_spec.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <vector>

namespace ropejit::test {
namespace {

template <class T, std::size_t n>
T pick(std::mt19937_64& random, const T (&choices)[n]) {
  return choices[random() % n];
}

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

}  // namespace

NumericCase random_case(std::mt19937_64& random) {
  constexpr std::int64_t kRotary[] = {2, 4, 6, 8, 20, 24, 32, 48, 64, 66, 80, 96, 112, 128, 160, 192, 256, 576};
  constexpr std::int64_t kHeads[] = {1, 2, 3, 4, 7, 8, 9, 28, 71};
  constexpr double kTheta[] = {10000.0, 500000.0, 1e6, 100.0, 1.0, 8e6 + 0.125};
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  constexpr PositionSource kSources[] = {PositionSource::start, PositionSource::ids32, PositionSource::ids64};
  NumericCase result;
  RopeSpec& spec = result.spec;
  spec.layout = random() % 2 != 0 ? Layout::split_half : Layout::interleaved;
  constexpr Direction kDirections[] = {Direction::forward, Direction::forward, Direction::adjoint, Direction::inverse,
                                       Direction::shift};
  spec.direction = pick(random, kDirections);
  spec.dtype = pick(random, kTypes);
  spec.theta = pick(random, kTheta);
  spec.rotary_dim = pick(random, kRotary);
  spec.scaling = random_scaling(random, spec);
  const std::int64_t heads = pick(random, kHeads);
  spec.q = random_operand(random, spec.rotary_dim, heads);
  if (random() % 4 != 0) spec.k = random_operand(random, spec.rotary_dim, std::max<std::int64_t>(1, heads / 4));

  result.form.placement = random() % 2 != 0 ? Placement::in_place : Placement::out_of_place;
  if (result.form.placement == Placement::out_of_place && random() % 3 == 0) {
    spec.layout_out = spec.layout == Layout::split_half ? Layout::interleaved : Layout::split_half;
  }
  result.form.strides = random() % 2 != 0 ? Strides::contiguous : Strides::free;
  result.form.positions = pick(random, kSources);
  result.batch = 1 + static_cast<std::int64_t>(random() % 3);
  result.tokens = 1 + static_cast<std::int64_t>(random() % 9);
  result.pass_k = random() % 8 != 0;

  constexpr Arrangement kAny[] = {Arrangement::bshd,       Arrangement::bshd,      Arrangement::bhsd,
                                  Arrangement::sbhd,       Arrangement::padded,    Arrangement::lane_strided,
                                  Arrangement::misaligned, Arrangement::packed_qkv};
  result.in = result.form.strides == Strides::contiguous && random() % 3 != 0 ? Arrangement::bshd : pick(random, kAny);
  result.out = result.form.strides == Strides::contiguous && random() % 3 != 0 ? Arrangement::bshd : pick(random, kAny);
  if (result.out == Arrangement::packed_qkv) result.out = Arrangement::bshd;
  if (result.form.placement == Placement::out_of_place && random() % 5 == 0) result.in = Arrangement::expanded;

  result.share_positions = random() % 4 == 0;
  result.positions = random_positions(random, static_cast<std::size_t>(result.batch * result.tokens));
  return result;
}

}  // namespace ropejit::test
