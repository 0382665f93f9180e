#include "spec/plan.hpp"

#include <fmt/format.h>

#include <bit>

#include "support/hash.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kHashBytes = 16;

std::string operand_text(const PlanOperand& operand) {
  if (operand.heads == 0) return "none";
  return fmt::format("{}x{}+{}:{}:{}", operand.heads, operand.head_dim, operand.first_lane,
                     to_string(operand.placement), to_string(operand.dtype_out));
}

// Runs of pairs on one axis: "0*16 1*24 2*24".
std::string runs_text(const std::vector<std::uint8_t>& axes) {
  std::string text;
  for (std::size_t i = 0; i < axes.size();) {
    std::size_t end = i;
    while (end < axes.size() && axes[end] == axes[i]) ++end;
    text += fmt::format("{}{}*{}", i == 0 ? "" : ",", axes[i], end - i);
    i = end;
  }
  return text;
}

// Byte by byte, so that a hash is the same on every machine.
void append_little_endian(std::string& out, std::uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) {
    out.push_back(static_cast<char>(static_cast<unsigned char>((value >> shift) & 0xFF)));
  }
}

}  // namespace

std::string KernelClass::text() const {
  std::string text =
      fmt::format("class/2 layout={} dtype={} sigma={} scaled={} rotary={} q={} k={} strides={} positions={}",
                  to_string(layout), to_string(dtype), negate_sin ? "-1" : "+1", scaled ? 1 : 0, rotary_dim,
                  operand_text(q), operand_text(k), to_string(strides), to_string(positions));
  if (layout_out != layout) text += fmt::format(" written={}", to_string(layout_out));
  if (section_pairs != pairs()) text += fmt::format(" section={}", section_pairs);
  if (rounding != Rounding::exact) text += fmt::format(" rounding={}", to_string(rounding));
  if (fp32_angle) text += " angle=fp32";
  if (sine != Sine::polynomial) text += fmt::format(" sine={}", to_string(sine));
  if (axes != 1) text += fmt::format(" axes={}:{}", axes, runs_text(pair_axes));
  if (context_parallel != ContextParallel::none) text += fmt::format(" cp={}", to_string(context_parallel));
  if (reads_table()) text += fmt::format(" angles={} table={}", to_string(angles), to_string(table_dtype));
  if (table_use != TableUse::as_given) text += table_use == TableUse::inverse ? " use=inverse" : " use=shift";
  if (padding != Padding::rotate) text += fmt::format(" padding={}", to_string(padding));
  if (k_rows != CacheRows::none) text += fmt::format(" k_rows={}", to_string(k_rows));
  if (counted) text += " counted";
  if (overlaps_previous) text += " overlaps";
  return text;
}

std::string KernelClass::hash() const { return blake3_hex(text(), kHashBytes); }

std::string RotationPlan::hash() const {
  std::string preimage = fmt::format("plan/2 {}\n", kernel_class.text());
  preimage.reserve(preimage.size() + 8 * (steps.size() + 1));
  for (const std::uint64_t step : steps) append_little_endian(preimage, step);
  append_little_endian(preimage, std::bit_cast<std::uint64_t>(attention_scale));
  return blake3_hex(preimage, kHashBytes);
}

}  // namespace ropejit::internal
