#include "codegen/generate.hpp"

#include <string_view>

#include <fmt/format.h>

#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "ropejit/error.hpp"
#include "spec/class_fields.hpp"

namespace ropejit::internal {
namespace {

std::string_view strides_of(const KernelClass& kernel_class, const Variant& variant) {
  if (variant.family == Family::universal) return "any";
  return kernel_class.form.strides == Strides::contiguous ? "contiguous" : "rows";
}

std::string_view name_of(Cut cut) {
  constexpr std::string_view kNames[] = {"items", "warps", "rows", "segments"};
  return kNames[static_cast<int>(cut)];
}

/// The template that is a family's, and the struct in it. The universal entry is flat.
struct FamilyTemplate {
  std::string_view file;
  std::string_view name;
};

FamilyTemplate template_of(const KernelClass& kernel_class, const Variant& variant) {
  if (kernel_class.is_staged()) return {"staged", "Staged"};
  if (kernel_class.by_rows()) return {"by_rows", "ByRows"};
  if (variant.family == Family::lanes) return {"lanes", "Lanes"};
  if (variant.family == Family::shared) return {"shared", "Shared"};
  return {"flat", "Flat"};
}

KernelParams params_of(const KernelClass& kernel_class) {
  if (kernel_class.has_more_stores()) return KernelParams::store;
  if (kernel_class.has_page_table()) return KernelParams::page_table;
  if (kernel_class.has_groups()) return KernelParams::group;
  if (kernel_class.has_stage_numbers()) return KernelParams::stage;
  if (kernel_class.has_statistic_in_memory()) return KernelParams::statistic;
  if (kernel_class.stores_beside() > 0) return KernelParams::beside;
  if (kernel_class.is_prologue()) return KernelParams::prologue;
  return kernel_class.operands.size() > 2 ? KernelParams::more : KernelParams::rope;
}

std::string config_of(const RotationPlan& plan, llvm::ArrayRef<ClassField> fields, const Variant& variant) {
  std::string text = "constexpr ropejit::KernelConfig config = {\n";
  const auto field = [&text](std::string_view name, const auto& value) {
    text += fmt::format("    .{} = {},\n", name, value);
  };
  for (const ClassField& one : fields) {
    if (one.config != nullptr) field(one.config, one.value());
  }
  field("strides", fmt::format("ropejit::Strides::{}", strides_of(plan.kernel_class, variant)));
  field("cut", fmt::format("ropejit::Cut::{}", name_of(work_of(plan.kernel_class, variant).cut)));
  field("access_bytes", variant.access_bytes);
  field("heads_per_thread", variant.heads_per_thread);
  field("most_threads", variant.threads);
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

std::string entry_name(const KernelClass& kernel_class, llvm::ArrayRef<ClassField> fields, const Variant& variant) {
  std::string name = "rope";
  for (const ClassField& field : fields) name += field.name;
  return fmt::format("{}_{}_{}", name, strides_of(kernel_class, variant), to_string(variant));
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

std::string entry_name(const KernelClass& kernel_class, const Variant& variant) {
  return entry_name(kernel_class, class_fields(kernel_class), variant);
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
  const std::vector<ClassField> fields = class_fields(plan.kernel_class);
  source.entry = entry_name(plan.kernel_class, fields, variant);
  source.has_steps = has_steps(plan.kernel_class, variant);
  source.params = params_of(plan.kernel_class);
  const FamilyTemplate family = template_of(plan.kernel_class, variant);
  source.text = fmt::format(
      "// {}\n// {}\n#include \"blocks.cuh\"\n#include \"{}.cuh\"\n\n{}namespace {{\n{}\n{}}}  // namespace\n\n"
      "extern \"C\" __global__ void __launch_bounds__(config.threads())\n"
      "{}(const __grid_constant__ ropejit::{} params) {{\n"
      "  const ropejit::PlanData data = {};\n"
      "  ropejit::run_blocks<config, ropejit::{}>(params, data);\n}}\n",
      class_text(fields), to_string(variant), family.file, steps_of(plan, variant), config_of(plan, fields, variant),
      pair_axes_of(plan), source.entry, struct_of(source.params), data_of(plan, variant), family.name);
  return source;
}

}  // namespace ropejit::internal
