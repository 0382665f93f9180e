#include "codegen/candidates.hpp"

#include <algorithm>
#include <iterator>

#include "codegen/legality.hpp"

namespace ropejit::internal {
namespace {

bool is_worth_a_try(const Variant& variant) {
  // Blocks that take turns won nothing: the GPU's own dealing out of blocks is as good. Nor did blocks of one warp,
  // which are too many.
  if (variant.persistent || variant.threads < 64) return false;
  switch (variant.family) {
    case Family::flat: return variant.heads_per_thread <= 10;
    // Sharing pays where there is enough to share out, or the loads in flight hide what it costs.
    case Family::lanes: return variant.access_bytes >= 4 && variant.heads_per_thread >= 2;
    case Family::shared:
      return (variant.access_bytes == 4 || variant.access_bytes == 8) && variant.heads_per_thread <= 8;
    case Family::universal: return false;
  }
  return false;
}

}  // namespace

std::vector<Variant> candidate_variants(const KernelClass& kernel_class) {
  std::vector<Variant> space = variant_space(kernel_class);
  std::vector<Variant> chosen;
  std::copy_if(space.begin(), space.end(), std::back_inserter(chosen), is_worth_a_try);
  return chosen.empty() ? space : chosen;
}

}  // namespace ropejit::internal
