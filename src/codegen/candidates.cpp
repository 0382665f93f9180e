#include "codegen/candidates.hpp"

#include <algorithm>
#include <iterator>

#include "codegen/legality.hpp"

namespace ropejit::internal {
namespace {

std::string why_not_worth_a_try(const KernelClass& kernel_class, const Variant& variant) {
  const std::uint32_t heads = variant.heads_per_thread;
  const std::uint32_t threads = variant.threads;
  // A row that is read whole before it is written leaves little choice, and what is fast of it varies.
  if (kernel_class.by_rows()) {
    return variant.family == Family::flat && heads <= 10 && threads >= 64 ? "" : "by rows it never was the fastest";
  }
  switch (variant.family) {
    case Family::flat:
      if (threads != 128 && threads != 256) return "flat with other than 128 or 256 threads won less than 1 %";
      if (heads > 10 || (heads == 10 && threads == 256)) return "flat with so many heads a thread won nothing";
      if (variant.access_bytes == 2 && heads > 2) return "flat with narrow accesses and many heads won less than 1 %";
      return {};
    // Sharing pays where there is enough to share out, or the loads in flight hide what it costs.
    case Family::lanes:
      if (variant.access_bytes < 8) return "lanes with accesses below 8 bytes has too few angles to share out";
      if (threads != 256 || (heads != 2 && heads != 5)) return "lanes won with 256 threads and some heads a thread";
      return {};
    case Family::shared:
      if (variant.access_bytes != 4 && variant.access_bytes != 8) return "shared was fastest with 4 and 8 bytes alone";
      if (threads < 128 || heads > 1) return "shared won with one head a thread and whole blocks";
      return {};
    case Family::universal: break;
  }
  return "the universal entry is not searched";
}

}  // namespace

std::vector<Variant> candidate_variants(const KernelClass& kernel_class) {
  std::vector<Variant> space = variant_space(kernel_class);
  std::vector<Variant> chosen;
  std::copy_if(space.begin(), space.end(), std::back_inserter(chosen),
               [&](const Variant& variant) { return why_not_worth_a_try(kernel_class, variant).empty(); });
  return chosen.empty() ? space : chosen;
}

std::string why_not_candidate(const KernelClass& kernel_class, const Variant& variant) {
  const std::vector<Variant> candidates = candidate_variants(kernel_class);
  // Where nothing is worth a try, everything is tried.
  if (std::find(candidates.begin(), candidates.end(), variant) != candidates.end()) return {};
  return why_not_worth_a_try(kernel_class, variant);
}

}  // namespace ropejit::internal
