#include "codegen/generic.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <vector>

#include "generic_plan.cuh"
#include "spec/class_fields.hpp"

namespace ropejit::internal {
namespace {

static_assert(kMostOperands == MostGenericOperands);
static_assert(sizeof(GenericOperand) % sizeof(std::uint32_t) == 0);

GenericPlan generic_plan(const RotationPlan& plan) {
  const KernelClass& c = plan.kernel_class;
  GenericPlan generic{};
  kGenericMark.copy(reinterpret_cast<char*>(generic.mark), sizeof generic.mark - 1);
  // Enumerators by their numbers in templates/config.cuh, which tests/codegen/generic_plan_test.cpp holds the library's
  // to; members in the order of the class's fields, which it holds these to.
  std::vector<std::uint32_t> words;
  for (const ClassField& field : class_fields(c)) {
    if (field.config != nullptr) llvm::append_range(words, field.numbers());
  }
  constexpr std::size_t kBytes = offsetof(GenericPlan, by_rows) - offsetof(GenericPlan, layout);
  std::memcpy(&generic.layout, words.data(), std::min(kBytes, words.size() * sizeof words.front()));
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
