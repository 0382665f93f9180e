#include "spec/plan.hpp"

#include <fmt/format.h>

#include <bit>

#include "spec/class_fields.hpp"
#include "support/hash.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kHashBytes = 16;

// Byte by byte, so that a hash is the same on every machine.
void append_little_endian(std::string& out, std::uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) {
    out.push_back(static_cast<char>(static_cast<unsigned char>((value >> shift) & 0xFF)));
  }
}

}  // namespace

const char* to_string(OperandName name) noexcept {
  constexpr const char* kWords[kMostOperands] = {"q", "k", "v", "gate"};
  return kWords[static_cast<std::size_t>(name)];
}

const char* to_string(StatisticUse use) noexcept {
  constexpr const char* kWords[] = {"computed", "handed_out", "given", "sum_handed_out", "sum_given"};
  return kWords[static_cast<std::size_t>(use)];
}

const char* to_string(Beside beside) noexcept {
  constexpr const char* kWords[] = {"none", "in_place", "apart"};
  return kWords[static_cast<std::size_t>(beside)];
}

bool KernelClass::short_polynomial() const {
  const bool exact = rounding == Rounding::exact && !reads_table() && !fp32_angle;
  return sine == Sine::polynomial && exact &&
         llvm::none_of(operands, [](const PlanOperand& one) { return one.rotates() && one.dtype_out == DType::fp32; });
}

std::string KernelClass::text() const { return class_text(class_fields(*this)); }

std::string KernelClass::hash() const { return blake3_hex(text(), kHashBytes); }

std::string RotationPlan::hash() const {
  std::string preimage = fmt::format("plan/2 {}\n", kernel_class.text());
  preimage.reserve(preimage.size() + 8 * (steps.size() + 1));
  for (const std::uint64_t step : steps) append_little_endian(preimage, step);
  append_little_endian(preimage, std::bit_cast<std::uint64_t>(attention_scale));
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const PlanOperand& operand = kernel_class.operands[i];
    const StageConstants& own = constants[i];
    if (operand.is_normed()) append_little_endian(preimage, std::bit_cast<std::uint32_t>(own.eps));
    if (!operand.reads_stage_numbers()) continue;
    for (const float number : {own.clamp, own.scale, own.tau_coefficient, own.norm_share}) {
      append_little_endian(preimage, std::bit_cast<std::uint32_t>(number));
    }
    append_little_endian(preimage, static_cast<std::uint64_t>(own.tau_length));
  }
  return blake3_hex(preimage, kHashBytes);
}

}  // namespace ropejit::internal
