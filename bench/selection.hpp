// Which variants a sweep takes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/variant.hpp"
#include "spec/plan.hpp"

namespace ropejit::bench {

struct Selection {
  enum class Kind {
    untuned,  ///< "default": what serves untuned
    best,     ///< "best": candidates are tried a few times; the fastest few and the default are then timed in earnest
    all,      ///< "all": the same of the whole space
    listed,   ///< names of variants
  };
  Kind kind = Kind::best;
  std::vector<internal::Variant> listed;
  std::string text = "best";  ///< as it was given
};

/// Throws Error.
Selection parse_selection(std::string_view text);

/// What serves `tokens` tokens untuned.
internal::Variant default_for(const internal::RotationPlan& plan, std::uint32_t multiprocessors, std::int64_t tokens);

/// The variants to compile for cells of the plan at these token counts; those listed that are illegal for its class are
/// left out. Throws Error where none is left.
std::vector<internal::Variant> selected(const Selection& selection, const internal::RotationPlan& plan,
                                        std::uint32_t multiprocessors, const std::vector<std::int64_t>& tokens);

}  // namespace ropejit::bench
