#include "bench/selection.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "codegen/candidates.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "ropejit/error.hpp"
#include "support/text.hpp"

namespace ropejit::bench {

using internal::Variant;

Selection parse_selection(std::string_view text) {
  Selection selection;
  selection.text = text;
  if (text == "default") {
    selection.kind = Selection::Kind::untuned;
  } else if (text == "best") {
    selection.kind = Selection::Kind::best;
  } else if (text == "all") {
    selection.kind = Selection::Kind::all;
  } else {
    selection.kind = Selection::Kind::listed;
    for (const std::string_view name : internal::split(text, ',')) {
      const auto variant = internal::parse_variant(name);
      if (!variant) {
        throw Error(ErrorCode::invalid_argument, "arguments",
                    fmt::format("--variants: found {}, allowed: default, best, all, or names of variants with commas "
                                "between them (flat_v16_h8_t128)",
                                internal::quoted(text)));
      }
      selection.listed.push_back(*variant);
    }
  }
  return selection;
}

Variant default_for(const internal::RotationPlan& plan, std::uint32_t multiprocessors, std::int64_t tokens) {
  std::vector<internal::VariantChoice> choices = internal::serving_variants(plan, multiprocessors);
  choices.pop_back();  // the universal entry
  return internal::variant_at(choices, tokens);
}

std::vector<Variant> selected(const Selection& selection, const internal::RotationPlan& plan,
                              std::uint32_t multiprocessors, const std::vector<std::int64_t>& tokens) {
  std::vector<Variant> variants;
  const auto add = [&](const Variant& variant) {
    if (std::find(variants.begin(), variants.end(), variant) == variants.end()) variants.push_back(variant);
  };
  if (selection.kind == Selection::Kind::listed) {
    std::string why;
    for (const Variant& variant : selection.listed) {
      why = internal::why_illegal(plan.kernel_class, variant);
      if (why.empty()) add(variant);
    }
    if (variants.empty()) {
      throw Error(ErrorCode::invalid_argument, "arguments", fmt::format("--variants: {}: {}", selection.text, why));
    }
    return variants;
  }
  for (const std::int64_t count : tokens) add(default_for(plan, multiprocessors, count));
  if (selection.kind != Selection::Kind::untuned) {
    const bool whole = selection.kind == Selection::Kind::all;
    for (const Variant& variant :
         whole ? internal::variant_space(plan.kernel_class) : internal::candidate_variants(plan.kernel_class)) {
      add(variant);
    }
  }
  return variants;
}

}  // namespace ropejit::bench
