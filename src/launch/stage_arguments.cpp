#include "launch/stage_arguments.hpp"

#include <array>
#include <bit>

#include "launch/operand_words.hpp"
#include "launch/stride_arithmetic.hpp"

namespace ropejit::internal {
namespace {

/// What a launch brings of one operand. Also the numbers of their places in lists, and of their bits.
enum Kind : std::size_t { norm_weight, norm_bias, bias, head_scales, kKinds };

/// The addresses of all operands: those of one name lie together, in the order of Kind.
using Addresses = std::array<const void*, kMostStagedOperands * kKinds>;

Addresses addresses_of(const RopeArgs& args) noexcept {
  return {args.q_norm_weight, args.q_norm_bias, args.q_bias, args.q_head_scales,
          args.k_norm_weight, args.k_norm_bias, args.k_bias, args.k_head_scales,
          args.v_norm_weight, args.v_norm_bias, args.v_bias, args.v_head_scales};
}

/// How many a launch brings: from where they are, as the hot path does nothing twice.
std::uint32_t count_given(const RopeArgs& args) noexcept {
  const auto count = [](auto... addresses) { return (static_cast<std::uint32_t>(addresses != nullptr) + ...); };
  return count(args.q_norm_weight, args.k_norm_weight, args.v_norm_weight, args.q_norm_bias, args.k_norm_bias,
               args.v_norm_bias, args.q_bias, args.k_bias, args.v_bias) +
         count(args.q_head_scales, args.k_head_scales, args.v_head_scales);
}

/// Bits of those that are not null.
std::uint32_t given_bits(const Addresses& addresses) noexcept {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < addresses.size(); ++i) bits |= static_cast<std::uint32_t>(addresses[i] != nullptr) << i;
  return bits;
}

/// The words of refusals of one kind of one operand.
struct Refusals {
  const char* missing;
  const char* missing_by_head;  ///< of norms whose heads have weights of their own
  const char* unaligned;
  const char* not_wanted;
};

template <Part Name, Part WhyNot>
constexpr std::array<Refusals, kKinds> kRefusalsOf = {{
    {kJoined<Name, "_norm_weight: found null, allowed: a device pointer to head_dim weights">,
     kJoined<Name, "_norm_weight: found null, allowed: a device pointer to heads * head_dim weights">,
     kJoined<Name, "_norm_weight: found a pointer that is not aligned to its element">,
     kJoined<Name, "_norm_weight: found a pointer, allowed: null (the spec's ", Name, " has no norm with weights",
             WhyNot>},
    {kJoined<Name, "_norm_bias: found null, allowed: a device pointer to head_dim biases">,
     kJoined<Name, "_norm_bias: found null, allowed: a device pointer to heads * head_dim biases">,
     kJoined<Name, "_norm_bias: found a pointer that is not aligned to its element">,
     kJoined<Name, "_norm_bias: found a pointer, allowed: null (the spec's ", Name, " has no norm with biases",
             WhyNot>},
    {kJoined<Name, "_bias: found null, allowed: a device pointer to heads * head_dim biases">, "",
     kJoined<Name, "_bias: found a pointer that is not aligned to its element">,
     kJoined<Name, "_bias: found a pointer, allowed: null (the spec's ", Name, " has no bias", WhyNot>},
    {kJoined<Name, "_head_scales: found null, allowed: a device pointer to a factor for each head">, "",
     kJoined<Name, "_head_scales: found a pointer that is not aligned to its element">,
     kJoined<Name, "_head_scales: found a pointer, allowed: null (the spec's ", Name, " has no head_scales", WhyNot>},
}};
constexpr std::array<std::array<Refusals, kKinds>, kMostStagedOperands> kRefusals = {
    kRefusalsOf<"q", ")">, kRefusalsOf<"k", ", or k is left out)">, kRefusalsOf<"v", ", or v is left out)">};

// size_of without a call into another file.
constexpr std::uintptr_t bytes_of(DType dtype) noexcept { return dtype == DType::fp32 ? 4 : 2; }

/// The memory of one operand's stages, on its way into the parameters.
class OperandStages {
 public:
  OperandStages(const PlanOperand& operand, const Addresses& addresses) noexcept
      : operand_(operand), name_(static_cast<std::size_t>(operand.name)), own_(addresses.data() + name_ * kKinds) {}

  const char* fill(DType dtype, OperandLines& lines, StageNumbers& numbers) noexcept {
    for (const Stage stage : operand_.stages) {
      switch (stage) {
        case Stage::norm:
          if (const char* why = fill_norm(lines, numbers)) return why;
          break;
        case Stage::bias:
          if (const char* why = take(bias, bytes_of(dtype))) return why;
          numbers.bias = own_[bias];
          break;
        case Stage::head_scale:
          if (const char* why = take(head_scales, sizeof(float))) return why;
          numbers.head_scales = static_cast<const float*>(own_[head_scales]);
          break;
        case Stage::none:
        case Stage::rotate:
        case Stage::clamp:
        case Stage::scale:
        case Stage::temperature: break;  // they bring nothing
      }
    }
    return nullptr;
  }

  std::uint32_t taken() const noexcept { return taken_; }                   ///< as given_bits
  std::uint32_t count() const noexcept { return count_; }                   ///< of taken()
  std::uintptr_t read_by_words() const noexcept { return read_by_words_; }  ///< the bits of all such addresses

 private:
  const char* fill_norm(OperandLines& lines, StageNumbers& numbers) noexcept {
    const PlanNorm& norm = operand_.norm;
    lines.weight = nullptr;
    if (norm.weights == NormWeight::none) return nullptr;
    if (const char* why = take(norm_weight, bytes_of(norm.weight))) return why;
    lines.weight = own_[norm_weight];
    if (!norm.has_bias) return nullptr;
    if (const char* why = take(norm_bias, bytes_of(norm.weight))) return why;
    numbers.norm_bias = own_[norm_bias];
    return nullptr;
  }

  const char* take(Kind kind, std::uintptr_t element) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(own_[kind]);
    if (address == 0 || (address & (element - 1)) != 0) return refusal_of(kind);
    taken_ |= 1U << (name_ * kKinds + kind);
    ++count_;
    if (kind != head_scales) read_by_words_ |= address;
    return nullptr;
  }

  /// Of memory that is missing or lies between elements.
  const char* refusal_of(Kind kind) const noexcept {
    const Refusals& words = kRefusals[name_][kind];
    if (own_[kind] != nullptr) return words.unaligned;
    const bool by_head = (kind == norm_weight || kind == norm_bias) && operand_.norm.weights == NormWeight::heads;
    return by_head ? words.missing_by_head : words.missing;
  }

  const PlanOperand& operand_;
  const std::size_t name_;
  const void* const* const own_;
  std::uint32_t taken_ = 0;
  std::uint32_t count_ = 0;
  std::uintptr_t read_by_words_ = 0;
};

/// Of what a launch brings the first that has no use; null: nothing.
const char* find_unwanted(std::uint32_t unwanted) noexcept {
  if (unwanted == 0) return nullptr;
  const auto first = static_cast<std::size_t>(std::countr_zero(unwanted));
  return kRefusals[first / kKinds][first % kKinds].not_wanted;
}

}  // namespace

const char* fill_stages(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  const Addresses addresses = addresses_of(args);
  std::uint32_t taken = 0;
  std::uint32_t count = 0;
  std::uintptr_t read_by_words = 0;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    if (!out.has_work[i]) continue;
    OperandStages stages(kernel_class.operands[i], addresses);
    if (const char* why = stages.fill(kernel_class.dtype, out.params.lines[i], out.params.numbers[i])) return why;
    taken |= stages.taken();
    count += stages.count();
    read_by_words |= stages.read_by_words();
  }
  out.aligned.weight = width_of(read_by_words);
  // Of what a spec's stages have, the plan of a launch that stores nothing knows the part that comes to a statistic.
  if (kernel_class.form.statistics_only || count_given(args) == count) return nullptr;
  return find_unwanted(given_bits(addresses) & ~taken);
}

const char* refuse_stages(const RopeArgs& args) noexcept { return find_unwanted(given_bits(addresses_of(args))); }

}  // namespace ropejit::internal
