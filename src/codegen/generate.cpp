#include "codegen/generate.hpp"

#include <string_view>

#include <fmt/format.h>

#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

std::string operand_name(char name, const PlanOperand& operand, DType dtype) {
  if (operand.heads == 0) return {};
  std::string text = fmt::format("_{}{}x{}", name, operand.heads, operand.head_dim);
  if (operand.first_lane != 0) text += fmt::format("at{}", operand.first_lane);
  if (operand.dtype_out != dtype) text += fmt::format("to_{}", to_string(operand.dtype_out));
  return text;
}

std::string operand_initializer(const PlanOperand& operand) {
  return fmt::format(
      "{{.heads = {}, .head_dim = {}, .first_lane = {}, .copies_still_lanes = {}, .element_out = "
      "ropejit::Element::{}}}",
      operand.heads, operand.head_dim, operand.first_lane, operand.heads != 0 && !operand.in_place(),
      to_string(operand.dtype_out));
}

std::string_view strides_of(const KernelClass& kernel_class, const Variant& variant) {
  if (variant.family == Family::universal) return "any";
  return kernel_class.strides == Strides::contiguous ? "contiguous" : "rows";
}

std::string_view name_of(Cut cut) {
  constexpr std::string_view kNames[] = {"items", "warps", "rows"};
  return kNames[static_cast<int>(cut)];
}

/// The template that is a family's, and the struct in it. The universal entry is flat.
struct FamilyTemplate {
  std::string_view file;
  std::string_view name;
};

FamilyTemplate template_of(const KernelClass& kernel_class, const Variant& variant) {
  if (kernel_class.by_rows()) return {"by_rows", "ByRows"};
  if (variant.family == Family::lanes) return {"lanes", "Lanes"};
  if (variant.family == Family::shared) return {"shared", "Shared"};
  return {"flat", "Flat"};
}

std::string_view angles_of(const KernelClass& kernel_class) {
  return kernel_class.fp32_angle ? "product" : to_string(kernel_class.angles);
}

std::string_view sine_of(const KernelClass& kernel_class) {
  return takes_short_polynomial(kernel_class) ? "polynomial16" : to_string(kernel_class.sine);
}

std::string_view name_of(TableUse use) {
  constexpr std::string_view kNames[] = {"as_given", "inverse", "shift"};
  return kNames[static_cast<int>(use)];
}

std::string config_of(const RotationPlan& plan, const Variant& variant) {
  const KernelClass& c = plan.kernel_class;
  std::string text = "constexpr ropejit::KernelConfig config = {\n";
  const auto field = [&text](std::string_view name, const auto& value) {
    text += fmt::format("    .{} = {},\n", name, value);
  };
  const auto choice = [&text](std::string_view name, std::string_view type, std::string_view value) {
    text += fmt::format("    .{} = ropejit::{}::{},\n", name, type, value);
  };
  choice("layout", "Layout", to_string(c.layout));
  choice("layout_out", "Layout", to_string(c.layout_out));
  choice("element", "Element", to_string(c.dtype));
  field("rotary_dim", c.rotary_dim);
  field("section_pairs", c.section_pairs);
  field("q", operand_initializer(c.q));
  field("k", operand_initializer(c.k));
  choice("positions", "PositionSource", to_string(c.positions));
  choice("context_parallel", "ContextParallel", to_string(c.context_parallel));
  field("axes", c.axes);
  choice("angles", "AngleSource", angles_of(c));
  choice("table_element", "Element", to_string(c.table_dtype));
  choice("table_use", "TableUse", name_of(c.table_use));
  choice("sine", "Sine", sine_of(c));
  field("negate_sin", c.negate_sin);
  field("scaled", c.scaled);
  choice("rounding", "Rounding", to_string(c.rounding));
  choice("padding", "Padding", to_string(c.padding));
  choice("k_rows", "CacheRows", to_string(c.k_rows));
  field("counted", c.counted);
  field("overlaps_previous", c.overlaps_previous);
  choice("strides", "Strides", strides_of(c, variant));
  choice("cut", "Cut", name_of(cut_of(c, variant)));
  field("access_bytes", variant.access_bytes);
  field("heads_per_thread", variant.heads_per_thread);
  field("most_threads", variant.threads);
  field("persistent", variant.persistent);
  return text + "};\n";
}

bool has_steps(const KernelClass& kernel_class, const Variant& variant) {
  return !kernel_class.reads_table() && !variant.buffered_steps;
}

// Rows of `per_row` numbers, each written by `write`.
template <class List, class Write>
std::string rows_of(const List& list, std::size_t per_row, const Write& write) {
  std::string text;
  for (std::size_t i = 0; i < list.size(); ++i) {
    text += fmt::format("{}{},", i % per_row == 0 ? "\n    " : " ", write(list[i]));
  }
  return text;
}

std::string steps_of(const RotationPlan& plan, const Variant& variant) {
  if (!has_steps(plan.kernel_class, variant)) return {};
  // Named, so that the host can ask where they are.
  return fmt::format("// {}\nextern \"C\" __device__ alignas(16) const ropejit::u64 {}[{}] = {{{}\n}};\n\n",
                     plan.kernel_class.fp32_angle ? "Bits of each pair's fp32 radians per position."
                                                  : "Turns per position of each pair, in units of 2^-64.",
                     kStepsSymbol, plan.steps.size(),
                     rows_of(plan.steps, 4, [](std::uint64_t step) { return fmt::format("0x{:016x}", step); }));
}

std::string pair_axes_of(const RotationPlan& plan) {
  const std::vector<std::uint8_t>& axes = plan.kernel_class.pair_axes;
  if (axes.empty()) return {};
  return fmt::format("// The position that turns each pair.\n__device__ const ropejit::u8 pair_axes[{}] = {{{}\n}};\n",
                     axes.size(), rows_of(axes, 32, [](std::uint8_t axis) { return fmt::format("{}", axis); }));
}

// The expression for the plan's numbers.
std::string data_of(const RotationPlan& plan, const Variant& variant) {
  const KernelClass& c = plan.kernel_class;
  const char* steps = has_steps(c, variant) ? kStepsSymbol : "nullptr";
  // A hexadecimal float: the value to the last bit.
  const std::string scale =
      variant.buffered_steps && c.scaled
          ? "params.scale"
          : fmt::format("{:a}f", static_cast<float>(variant.buffered_steps ? 1.0 : plan.attention_scale));
  return fmt::format("{{{}, {}, {}}}", steps, c.pair_axes.empty() ? "nullptr" : "pair_axes", scale);
}

}  // namespace

bool takes_short_polynomial(const KernelClass& kernel_class) {
  const bool wide =
      kernel_class.q.dtype_out == DType::fp32 || (kernel_class.k.heads != 0 && kernel_class.k.dtype_out == DType::fp32);
  const bool exact =
      kernel_class.rounding == Rounding::exact && !kernel_class.reads_table() && !kernel_class.fp32_angle;
  return kernel_class.sine == Sine::polynomial && exact && !wide;
}

std::string entry_name(const KernelClass& kernel_class, const Variant& variant) {
  const KernelClass& c = kernel_class;
  std::string name = fmt::format("rope_{}", to_string(c.layout));
  if (c.layout_out != c.layout) name += fmt::format("_to_{}", to_string(c.layout_out));
  name += fmt::format("_{}{}{}_r{}", to_string(c.dtype), operand_name('q', c.q, c.dtype),
                      operand_name('k', c.k, c.dtype), c.rotary_dim);
  if (c.negate_sin) name += "_reversed";
  if (c.scaled) name += "_scaled";
  if (c.rounding != Rounding::exact) name += fmt::format("_{}", to_string(c.rounding));
  if (c.fp32_angle) name += "_fp32angle";
  if (c.sine != Sine::polynomial) name += "_hwsine";
  if (c.reads_table()) name += fmt::format("_{}_{}", to_string(c.angles), to_string(c.table_dtype));
  if (c.table_use != TableUse::as_given) name += fmt::format("_{}", name_of(c.table_use));
  name += fmt::format("_{}_{}_{}", c.q.in_place() ? "inplace" : "outofplace", strides_of(c, variant),
                      to_string(c.positions));
  if (c.axes != 1) name += fmt::format("_axes{}", c.axes);
  if (c.context_parallel != ContextParallel::none) name += fmt::format("_{}", to_string(c.context_parallel));
  if (c.padding != Padding::rotate) name += fmt::format("_pad{}", to_string(c.padding));
  if (c.k_rows != CacheRows::none) name += fmt::format("_k{}", to_string(c.k_rows));
  if (c.counted) name += "_counted";
  if (c.overlaps_previous) name += "_overlaps";
  return fmt::format("{}_{}", name, to_string(variant));
}

KernelSource generate(const RotationPlan& plan, const Variant& variant) {
  if (const std::string why = why_illegal(plan.kernel_class, variant); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "generate",
                fmt::format("variant {} is not legal here: {}", to_string(variant), why));
  }
  if (plan.needs_length && !variant.buffered_steps) {
    throw Error(ErrorCode::invalid_argument, "generate",
                fmt::format("variant {} has steps built in, and the plan's depend on a length that is not known",
                            to_string(variant)));
  }
  KernelSource source;
  source.entry = entry_name(plan.kernel_class, variant);
  source.has_steps = has_steps(plan.kernel_class, variant);
  const FamilyTemplate family = template_of(plan.kernel_class, variant);
  source.text = fmt::format(
      "// {}\n// {}\n#include \"blocks.cuh\"\n#include \"{}.cuh\"\n\n{}namespace {{\n{}\n{}}}  // namespace\n\n"
      "extern \"C\" __global__ void __launch_bounds__(config.threads())\n"
      "{}(const __grid_constant__ ropejit::LaunchParams params) {{\n"
      "  const ropejit::PlanData data = {};\n"
      "  ropejit::run_blocks<config, ropejit::{}>(params, data);\n}}\n",
      plan.kernel_class.text(), to_string(variant), family.file, steps_of(plan, variant), config_of(plan, variant),
      pair_axes_of(plan), source.entry, data_of(plan, variant), family.name);
  return source;
}

}  // namespace ropejit::internal
