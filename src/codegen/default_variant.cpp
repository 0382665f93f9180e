#include "codegen/default_variant.hpp"

#include <algorithm>

#include "codegen/legality.hpp"
#include "codegen/work.hpp"

namespace ropejit::internal {
namespace {

/// The widest legal access up to `most` bytes; a single element is always legal.
std::uint32_t widest_access(const KernelClass& kernel_class, std::uint32_t most) {
  for (std::uint32_t access = most; access > 2; access /= 2) {
    if (why_illegal(kernel_class, {Family::flat, access, 1, 128}).empty()) return access;
  }
  return static_cast<std::uint32_t>(size_of(kernel_class.dtype));
}

/// `heads`, or fewer where the class has fewer or a thread could not hold them.
Variant legal_variant(const KernelClass& kernel_class, std::uint32_t access, std::uint32_t heads,
                      std::uint32_t threads) {
  Variant variant{Family::flat, access, heads, threads};
  while (variant.heads_per_thread > 1 && !why_illegal(kernel_class, variant).empty()) --variant.heads_per_thread;
  return variant;
}

}  // namespace

std::vector<VariantChoice> default_variants(const KernelClass& kernel_class, std::uint32_t multiprocessors) {
  const Variant spread = legal_variant(kernel_class, widest_access(kernel_class, 4), 1, 64);
  const Variant wide = legal_variant(kernel_class, widest_access(kernel_class, 16), 4, 128);
  // A few tokens leave most of the GPU idle: narrow shares put more threads to work. The rule turns where the narrow
  // shares would fill every multiprocessor about four times over.
  const std::uint64_t threads_to_fill = static_cast<std::uint64_t>(std::max(multiprocessors, 1U)) * 2048 * 4;
  const auto turn = static_cast<std::int64_t>(threads_to_fill / items_per_token(kernel_class, spread)) + 1;
  if (spread == wide) return {{0, wide}};
  return {{0, spread}, {turn, wide}};
}

}  // namespace ropejit::internal
