#include "support/stage_inputs.hpp"

#include <cmath>

#include "verify/element.hpp"
#include "verify/norm_rule.hpp"

namespace ropejit::test {
namespace {

/// Puts numbers of a dtype into memory.
class Numbers {
 public:
  Numbers(std::mt19937_64& random, Inputs& inputs, bool misaligned)
      : random_(random), inputs_(inputs), offset_(misaligned ? 1 : 0) {}

  template <class Draw>
  const void* put(DType dtype, std::int64_t count, std::vector<double>& values, const Draw& draw) {
    std::vector<unsigned char> bytes(static_cast<std::size_t>((offset_ + count) * size_of(dtype)));
    for (std::int64_t i = 0; i < count; ++i) {
      const internal::ElementBits bits = internal::encode(dtype, draw());
      internal::store_bits(dtype, bytes.data(), offset_ + i, bits);
      values.push_back(internal::decode(dtype, bits));
    }
    return static_cast<unsigned char*>(inputs_.put_bytes(bytes.data(), bytes.size())) + offset_ * size_of(dtype);
  }

  // As models have them; some are negative and some 0.
  double around_one() {
    std::normal_distribution<double> normal(1.0, 0.25);
    const std::uint64_t kind = random_() % 16;
    return kind == 0 ? 0 : normal(random_) * (kind < 3 ? -1 : 1);
  }
  double around_zero() { return std::normal_distribution<double>(0.0, 0.5)(random_); }

 private:
  std::mt19937_64& random_;
  Inputs& inputs_;
  std::int64_t offset_;
};

}  // namespace

std::int64_t weights_of(const Operand& operand) {
  if (!operand.norm || operand.norm->weight == NormWeight::none) return 0;
  return (operand.norm->weight == NormWeight::heads ? operand.heads : 1) * operand.head_dim;
}

std::int64_t statistics_of(const Operand& operand) { return operand.norm->span == NormSpan::token ? 1 : operand.heads; }

StageInputs put_stage_inputs(const RopeSpec& spec, const Operand& operand, internal::OperandName name, bool misaligned,
                             std::mt19937_64& random, Inputs& inputs, RopeArgs& args) {
  const internal::OperandMembers members = internal::members_of(name);
  Numbers numbers(random, inputs, misaligned);
  StageInputs made;
  if (const std::int64_t count = weights_of(operand); count > 0) {
    const DType dtype = operand.norm->weight_dtype.value_or(spec.dtype);
    const double less = operand.norm->plus_one ? 1 : 0;
    args.*members.weight = numbers.put(dtype, count, made.weights, [&] { return numbers.around_one() - less; });
    if (operand.norm->bias) {
      args.*members.norm_bias = numbers.put(dtype, count, made.norm_biases, [&] { return numbers.around_zero(); });
    }
  }
  if (operand.bias) {
    args.*members.bias =
        numbers.put(spec.dtype, operand.heads * operand.head_dim, made.biases, [&] { return numbers.around_zero(); });
  }
  if (operand.head_scales) {
    args.*members.head_scales =
        static_cast<const float*>(Numbers(random, inputs, false).put(DType::fp32, operand.heads, made.head_scales, [&] {
          return numbers.around_one();
        }));
  }
  return made;
}

float random_statistic(std::mt19937_64& random, const Operand& operand) {
  const std::uint64_t kind = random() % 32;
  const double size = std::exp2(std::uniform_real_distribution<double>(-4.0, 4.0)(random));
  if (kind == 0) return 0.0F;
  if (operand.norm->statistic == Statistic::given) return static_cast<float>(kind == 1 ? -size : size);
  const auto lanes = internal::normed_lanes_of(*operand.norm, static_cast<std::size_t>(operand.head_dim)).count;
  return static_cast<float>(size * static_cast<double>(lanes));
}

}  // namespace ropejit::test
