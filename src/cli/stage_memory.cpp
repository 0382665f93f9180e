#include "cli/stage_memory.hpp"

#include "cli/random_values.hpp"
#include "launch/operand_args.hpp"
#include "verify/element.hpp"

namespace ropejit::internal {
namespace {

constexpr double kDeviation = 0.25;

// Each kind of number begins so far behind the one before.
constexpr std::uint64_t kBetweenKinds = std::uint64_t{1} << 40;

}  // namespace

StageMemory::Numbers StageMemory::make(const Target& target, DType dtype, std::int64_t count, double middle,
                                       std::uint64_t seed) {
  Numbers numbers;
  std::vector<unsigned char> bytes(static_cast<std::size_t>(count) * element_bytes(dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    const double value = middle + kDeviation * random_normal(seed + static_cast<std::uint64_t>(i));
    const ElementBits bits = encode(dtype, value);
    store_bits(dtype, bytes.data(), i, bits);
    numbers.values.push_back(decode(dtype, bits));
  }
  numbers.buffer = target.allocate(bytes.size());
  target.upload(numbers.buffer.data(), bytes.data(), bytes.size());
  return numbers;
}

// Weights around what leaves lanes as they are.
StageMemory::StageMemory(const Target& target, const RopeSpec& spec, const Operand& operand, std::uint64_t seed) {
  if (operand.norm && operand.norm->weight != NormWeight::none) {
    const Norm& norm = *operand.norm;
    const DType dtype = norm.weight_dtype.value_or(spec.dtype);
    const std::int64_t count = (norm.weight == NormWeight::heads ? operand.heads : 1) * operand.head_dim;
    weights_ = make(target, dtype, count, norm.plus_one ? 0 : 1, seed);
    if (norm.bias) norm_biases_ = make(target, dtype, count, 0, seed + kBetweenKinds);
  }
  if (operand.bias) {
    biases_ = make(target, spec.dtype, operand.heads * operand.head_dim, 0, seed + 2 * kBetweenKinds);
  }
  if (operand.head_scales) head_scales_ = make(target, DType::fp32, operand.heads, 1, seed + 3 * kBetweenKinds);
}

void StageMemory::set(OperandName name, RopeArgs& args) const {
  const OperandMembers members = members_of(name);
  if (!members.has_stages()) return;
  args.*members.weight = weights_.buffer.data();
  args.*members.norm_bias = norm_biases_.buffer.data();
  args.*members.bias = biases_.buffer.data();
  args.*members.head_scales = static_cast<const float*>(head_scales_.buffer.data());
}

RowData StageMemory::data(std::int64_t head, std::int64_t position) const {
  return {.weights = weights_.values,
          .norm_biases = norm_biases_.values,
          .biases = biases_.values,
          .head_scales = head_scales_.values,
          .head = head,
          .position = position};
}

}  // namespace ropejit::internal
