#include "codegen/generate.hpp"

#include <string_view>

#include <fmt/format.h>

#include "codegen/legality.hpp"
#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

std::string operand_name(char name, const PlanOperand& operand) {
  if (operand.heads == 0) return {};
  std::string text = fmt::format("_{}{}x{}", name, operand.heads, operand.head_dim);
  if (operand.first_lane != 0) text += fmt::format("at{}", operand.first_lane);
  return text;
}

std::string operand_initializer(const PlanOperand& operand) {
  return fmt::format("{{.heads = {}, .head_dim = {}, .first_lane = {}}}", operand.heads, operand.head_dim,
                     operand.first_lane);
}

std::string_view strides_of(const KernelClass& kernel_class, const Variant& variant) {
  if (variant.family == Family::universal) return "any";
  return kernel_class.strides == Strides::contiguous ? "contiguous" : "rows";
}

std::string config_of(const RotationPlan& plan, const Variant& variant) {
  const KernelClass& c = plan.kernel_class;
  std::string text = "constexpr ropejit::KernelConfig config = {\n";
  const auto field = [&text](std::string_view name, const auto& value) {
    text += fmt::format("    .{} = {},\n", name, value);
  };
  field("layout", fmt::format("ropejit::Layout::{}", to_string(c.layout)));
  field("layout_out", fmt::format("ropejit::Layout::{}", to_string(c.layout_out)));
  field("element", fmt::format("ropejit::Element::{}", to_string(c.dtype)));
  field("negate_sin", c.negate_sin);
  field("scaled", c.scaled);
  // A hexadecimal float: the value to the last bit.
  field("attention_scale", fmt::format("{:a}f", static_cast<float>(plan.attention_scale)));
  field("rotary_dim", c.rotary_dim);
  field("q", operand_initializer(c.q));
  field("k", operand_initializer(c.k));
  field("positions", fmt::format("ropejit::PositionSource::{}", to_string(c.positions)));
  field("angles", fmt::format("ropejit::AngleSource::{}", to_string(c.angles)));
  field("table_element", fmt::format("ropejit::Element::{}", to_string(c.table_dtype)));
  field("copies_still_lanes", c.placement == Placement::out_of_place);
  field("strides", fmt::format("ropejit::Strides::{}", strides_of(c, variant)));
  field("access_bytes", variant.access_bytes);
  field("heads_per_thread", variant.heads_per_thread);
  field("threads", variant.threads);
  return text + "};\n";
}

std::string steps_of(const RotationPlan& plan) {
  if (plan.kernel_class.reads_table())
    return "constexpr const ropejit::u64* steps = nullptr;  // a table has the angles\n";
  std::string text = fmt::format(
      "// Turns per position of each pair, in units of 2^-64.\n"
      "alignas(16) __device__ const ropejit::u64 steps[{}] = {{",
      plan.steps.size());
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    text += fmt::format("{}0x{:016x},", i % 4 == 0 ? "\n    " : " ", plan.steps[i]);
  }
  return text + "\n};\n";
}

}  // namespace

std::string entry_name(const KernelClass& kernel_class, const Variant& variant) {
  const KernelClass& c = kernel_class;
  const std::string table =
      c.reads_table() ? fmt::format("_{}_{}", to_string(c.angles), to_string(c.table_dtype)) : std::string();
  const std::string written = c.layout_out != c.layout ? fmt::format("_to_{}", to_string(c.layout_out)) : std::string();
  return fmt::format("rope_{}{}_{}{}{}_r{}{}{}{}_{}_{}_{}_{}", to_string(c.layout), written, to_string(c.dtype),
                     operand_name('q', c.q), operand_name('k', c.k), c.rotary_dim, c.negate_sin ? "_reversed" : "",
                     c.scaled ? "_scaled" : "", table, c.placement == Placement::in_place ? "inplace" : "outofplace",
                     strides_of(c, variant), to_string(c.positions), to_string(variant));
}

KernelSource generate(const RotationPlan& plan, const Variant& variant) {
  if (const std::string why = why_illegal(plan.kernel_class, variant); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "generate",
                fmt::format("variant {} is not legal here: {}", to_string(variant), why));
  }
  KernelSource source;
  source.entry = entry_name(plan.kernel_class, variant);
  source.text = fmt::format(
      "// {}\n// {}\n#include \"flat.cuh\"\n\nnamespace {{\n{}\n{}}}  // namespace\n\n"
      "extern \"C\" __global__ void __launch_bounds__(config.threads)\n"
      "{}(const __grid_constant__ ropejit::LaunchParams params) {{\n"
      "  ropejit::flat<config>(params, steps);\n}}\n",
      plan.kernel_class.text(), to_string(variant), config_of(plan, variant), steps_of(plan), source.entry);
  return source;
}

}  // namespace ropejit::internal
