#include "launch/generic_variant.hpp"

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
  prepared.variant = {Family::universal, bytes_of(kernel_class.dtype), 1, kGenericThreads, false, plan.needs_length};
  prepared.work = {one_token(), one_token(), kGenericThreads};
  prepared.widths = {bytes_of(kernel_class.dtype), bytes_of(kernel_class.q.dtype_out),
                     bytes_of(kernel_class.k.dtype_out),
                     kernel_class.reads_table() ? bytes_of(kernel_class.table_dtype) : 1};
  prepared.most_blocks = kMaxBlocks;
  prepared.kernel = target.load(generic_binary(*image, plan), generic_source());
  return prepared;
}

}  // namespace ropejit::internal
