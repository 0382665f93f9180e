#include "codegen/generic.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "codegen/generate.hpp"
#include "generic_plan.cuh"

namespace ropejit::internal {
namespace {

// Enumerators stand in the same order here and in templates/config.cuh, which tests/codegen/generic_plan_test.cpp holds
// them to; but for the few that the templates have more of.
template <class Enumerator>
std::uint32_t number(Enumerator enumerator) {
  return static_cast<std::uint32_t>(enumerator);
}

std::uint32_t angles_number(const KernelClass& kernel_class) {
  // computed, product, and then the caller's tables.
  if (!kernel_class.reads_table()) return kernel_class.fp32_angle ? 1 : 0;
  return number(kernel_class.angles) + 1;
}

std::uint32_t sine_number(const KernelClass& kernel_class) {
  // polynomial, polynomial16, hardware.
  if (kernel_class.sine == Sine::hardware) return 2;
  return takes_short_polynomial(kernel_class) ? 1 : 0;
}

GenericOperand operand_of(const PlanOperand& operand) {
  return {operand.heads, operand.head_dim, operand.first_lane, operand.heads != 0 && !operand.in_place() ? 1U : 0U,
          number(operand.dtype_out)};
}

GenericPlan generic_plan(const RotationPlan& plan) {
  const KernelClass& c = plan.kernel_class;
  GenericPlan generic{};
  kGenericMark.copy(reinterpret_cast<char*>(generic.mark), sizeof generic.mark - 1);
  generic.layout = number(c.layout);
  generic.layout_out = number(c.layout_out);
  generic.element = number(c.dtype);
  generic.rotary_dim = c.rotary_dim;
  generic.section_pairs = c.section_pairs;
  generic.q = operand_of(c.q);
  generic.k = operand_of(c.k);
  generic.positions = number(c.positions);
  generic.context_parallel = number(c.context_parallel);
  generic.axes = c.axes;
  generic.angles = angles_number(c);
  generic.table_element = number(c.table_dtype);
  generic.table_use = number(c.table_use);
  generic.sine = sine_number(c);
  generic.negate_sin = c.negate_sin ? 1 : 0;
  generic.scaled = c.scaled ? 1 : 0;
  generic.rounding = number(c.rounding);
  generic.padding = number(c.padding);
  generic.k_rows = number(c.k_rows);
  generic.counted = c.counted ? 1 : 0;
  generic.overlaps_previous = c.overlaps_previous ? 1 : 0;
  generic.by_rows = c.by_rows() ? 1 : 0;
  generic.buffered_steps = plan.needs_length ? 1 : 0;
  generic.attention_scale = static_cast<float>(plan.attention_scale);
  std::copy(c.pair_axes.begin(), c.pair_axes.end(), generic.pair_axes);
  std::copy(plan.steps.begin(), plan.steps.end(), generic.steps);
  return generic;
}

/// "sm_86" -> 86; 0 for what is no GPU's.
int number_of(std::string_view arch) {
  constexpr std::string_view kPrefix = "sm_";
  int number = 0;
  if (!arch.starts_with(kPrefix)) return 0;
  const auto [end, error] = std::from_chars(arch.data() + kPrefix.size(), arch.data() + arch.size(), number);
  return error == std::errc{} && end == arch.data() + arch.size() ? number : 0;
}

}  // namespace

const GenericImage* generic_image_for(std::string_view arch) {
  const int wanted = number_of(arch);
  const GenericImage* best = nullptr;
  for (const GenericImage& image : generic_images()) {
    if (image.arch == arch) return &image;
    const int has = number_of(image.arch);
    if (wanted == 0 || has == 0 || has / 10 != wanted / 10 || has > wanted) continue;
    if (best == nullptr || has > number_of(best->arch)) best = &image;
  }
  return best;
}

std::string generic_binary(const GenericImage& image, const RotationPlan& plan) {
  std::string bytes(image.bytes);
  const GenericPlan generic = generic_plan(plan);
  std::memcpy(bytes.data() + image.plan_at, &generic, sizeof generic);
  return bytes;
}

}  // namespace ropejit::internal
