#include "spec/plan.hpp"

#include <fmt/format.h>

#include <bit>

#include "support/hash.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kHashBytes = 16;

std::string operand_text(const PlanOperand& operand) {
  if (operand.heads == 0) return "none";
  return fmt::format("{}x{}+{}", operand.heads, operand.head_dim, operand.first_lane);
}

// Byte by byte, so that a hash is the same on every machine.
void append_little_endian(std::string& out, std::uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) {
    out.push_back(static_cast<char>(static_cast<unsigned char>((value >> shift) & 0xFF)));
  }
}

}  // namespace

std::string KernelClass::text() const {
  std::string text = fmt::format(
      "class/1 layout={} dtype={} sigma={} scaled={} rotary={} q={} k={} placement={} strides={} positions={}",
      to_string(layout), to_string(dtype), negate_sin ? "-1" : "+1", scaled ? 1 : 0, rotary_dim, operand_text(q),
      operand_text(k), to_string(placement), to_string(strides), to_string(positions));
  if (layout_out != layout) text += fmt::format(" written={}", to_string(layout_out));
  if (reads_table()) text += fmt::format(" angles={} table={}", to_string(angles), to_string(table_dtype));
  return text;
}

std::string KernelClass::hash() const { return blake3_hex(text(), kHashBytes); }

std::string RotationPlan::hash() const {
  std::string preimage = fmt::format("plan/1 {}\n", kernel_class.text());
  preimage.reserve(preimage.size() + 8 * (steps.size() + 1));
  for (const std::uint64_t step : steps) append_little_endian(preimage, step);
  append_little_endian(preimage, std::bit_cast<std::uint64_t>(attention_scale));
  return blake3_hex(preimage, kHashBytes);
}

}  // namespace ropejit::internal
