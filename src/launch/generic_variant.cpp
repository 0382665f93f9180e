#include "launch/generic_variant.hpp"

#include <algorithm>

#include "codegen/generic.hpp"

namespace ropejit::internal {
namespace {

std::uint32_t bytes_of(DType dtype) { return static_cast<std::uint32_t>(size_of(dtype)); }

/// A token a block.
BlockSplit one_token() {
  BlockSplit split{};
  split.items = split.per_token = kGenericThreads;
  split.tokens = split.parts = split.row_threads = split.rounds = 1;
  return split;
}

}  // namespace

std::optional<PreparedVariant> generic_variant(const Target& target, const RotationPlan& plan) {
  const GenericImage* const image = generic_image_for(target.arch());
  if (image == nullptr) return std::nullopt;
  const KernelClass& kernel_class = plan.kernel_class;
  PreparedVariant prepared;
  prepared.variant = {Family::universal, bytes_of(kernel_class.dtype), 1, kGenericThreads, plan.needs_length};
  prepared.work.threads = kGenericThreads;
  AccessWidths& widths = prepared.work.widths;
  widths.in = bytes_of(kernel_class.dtype);
  widths.table = kernel_class.reads_table() ? bytes_of(kernel_class.form.table_dtype) : 1;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    prepared.work.operands[i].block = one_token();
    const PlanOperand& operand = kernel_class.operands[i];
    widths.out[i] = bytes_of(operand.dtype_out);
    if (operand.is_normed() && operand.norm.weights != NormWeight::none) {
      widths.weight = std::max(widths.weight, bytes_of(operand.norm.weight));
    }
    if (operand.has(Stage::bias)) widths.weight = std::max(widths.weight, bytes_of(kernel_class.dtype));
  }
  prepared.kernel = target.load(generic_binary(*image, plan), generic_source());
  return prepared;
}

}  // namespace ropejit::internal
