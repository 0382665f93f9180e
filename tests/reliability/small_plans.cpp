#include "reliability/small_plans.hpp"

#include <cstddef>
#include <random>
#include <vector>

#include "verify/element.hpp"
#include "verify/oracle.hpp"

namespace ropejit::test {
namespace {

using namespace internal;

/// One of q and k before and after a launch, [tokens, heads, head_dim] without gaps.
struct Tensor {
  // Of words of 16 bytes, as the contiguous form promises.
  struct alignas(16) Word {
    unsigned char bytes[16];
  };

  Tensor(const Operand& of, DType of_dtype, std::int64_t of_tokens, std::mt19937_64& random)
      : operand(of), dtype(of_dtype), tokens(of_tokens) {
    const std::int64_t elements = tokens * operand.heads * operand.head_dim;
    before.resize((static_cast<std::size_t>(elements) * element_bytes(dtype) + sizeof(Word) - 1) / sizeof(Word));
    std::uniform_real_distribution<double> values(-4, 4);
    for (std::int64_t i = 0; i < elements; ++i) store_bits(dtype, before.data(), i, encode(dtype, values(random)));
    after = before;
  }

  void check(Oracle& oracle, const std::vector<std::int64_t>& positions, Comparison& result) const {
    const auto row_bytes = static_cast<std::size_t>(operand.head_dim) * element_bytes(dtype);
    for (std::int64_t token = 0; token < tokens; ++token) {
      const Angles& angles = oracle.at(positions[static_cast<std::size_t>(token)]);
      for (std::int64_t head = 0; head < operand.heads; ++head) {
        const std::size_t offset = static_cast<std::size_t>(token * operand.heads + head) * row_bytes;
        const auto at = [offset](const std::vector<Word>& words) {
          return HeadRow{reinterpret_cast<const unsigned char*>(words.data()) + offset, 1};
        };
        oracle.check(angles, operand, at(before), at(after), {0, token, head, 0}, result);
      }
    }
  }

  Operand operand;
  DType dtype;
  std::int64_t tokens;
  std::vector<Word> before;
  std::vector<Word> after;
};

}  // namespace

SmallPlan small_plan(int number) {
  constexpr DType kDTypes[] = {DType::fp32, DType::bf16, DType::fp16};
  SmallPlan plan;
  plan.spec.dtype = kDTypes[number % 3];
  plan.spec.layout = number % 2 == 0 ? Layout::split_half : Layout::interleaved;
  plan.spec.rotary_dim = 4;
  plan.spec.q = {1 + number % 2, 4, 0};
  if (number % 5 == 0) plan.spec.k = Operand{1, 4, 0};
  plan.spec.theta = 10'000.0 + number;
  plan.form = number % 4 == 3 ? LaunchForm::out_of_place_ids() : LaunchForm::in_place_ids();
  return plan;
}

RopeKernel get(const RopeService& service, int number) {
  const SmallPlan plan = small_plan(number);
  return service.get(plan.spec, plan.form);
}

std::string launch_and_check(const RopeKernel& kernel, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const RopeSpec& spec = kernel.spec();
  const auto tokens = static_cast<std::int64_t>(1 + random() % (seed % 8 == 0 ? 100 : 4));
  Tensor q(spec.q, spec.dtype, tokens, random);
  std::vector<Tensor> k;
  if (spec.k) k.emplace_back(*spec.k, spec.dtype, tokens, random);
  std::vector<std::int64_t> positions;
  for (std::int64_t i = 0; i < tokens; ++i) positions.push_back(static_cast<std::int64_t>(random() % 1'000'000));

  RopeArgs args;
  args.tokens = tokens;
  args.positions = Positions::ids64(positions.data());
  const bool in_place = kernel.form().placement == Placement::in_place;
  const auto hand_over = [in_place](Tensor& tensor, TensorView& in, TensorView& out) {
    if (in_place) {
      in.data = tensor.after.data();
    } else {
      in = TensorView::input(tensor.before.data());
      out.data = tensor.after.data();
    }
  };
  hand_over(q, args.q, args.q_out);
  for (Tensor& tensor : k) hand_over(tensor, args.k, args.k_out);

  if (const LaunchStatus status = kernel.launch(args); !status) return status.message();
  Oracle oracle(spec);
  Comparison comparison;
  q.check(oracle, positions, comparison);
  for (const Tensor& tensor : k) tensor.check(oracle, positions, comparison);
  return comparison.passed() ? std::string() : comparison.to_string();
}

}  // namespace ropejit::test
