#include "support/random_spec.hpp"

#include <algorithm>
#include <iterator>

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

Scaling random_scaling(std::mt19937_64& random) {
  constexpr double kFactors[] = {1.0, 2.0, 3.5, 8.0, 32.0, 0.5};
  switch (random() % 3) {
    case 0: return NoScaling{};
    case 1: return LinearScaling{pick(random, kFactors)};
    default: {
      constexpr double kHigh[] = {1.0, 2.0, 4.0};
      constexpr std::int64_t kOriginal[] = {512, 8192, 131072};
      return Llama3Scaling{pick(random, kFactors), 1.0, pick(random, kHigh), pick(random, kOriginal)};
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
  spec.direction = random() % 3 != 0 ? Direction::forward : Direction::adjoint;
  spec.dtype = pick(random, kTypes);
  spec.theta = pick(random, kTheta);
  spec.rotary_dim = pick(random, kRotary);
  spec.scaling = random_scaling(random);
  const std::int64_t heads = pick(random, kHeads);
  spec.q = random_operand(random, spec.rotary_dim, heads);
  if (random() % 4 != 0) spec.k = random_operand(random, spec.rotary_dim, std::max<std::int64_t>(1, heads / 4));

  result.form.placement = random() % 2 != 0 ? Placement::in_place : Placement::out_of_place;
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
