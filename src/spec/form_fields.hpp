// The fields of a launch form, said once: JSON, checks, comparison and a class's fields (class_fields.hpp) walk them. A
// visitor has
//     choice(key, E&, words)     an enumeration
//     flag(key, bool&, words)
// (const references for a const form), which are called in the order of the JSON. A new field stands at the end.
#pragma once

#include <concepts>
#include <type_traits>

#include "ropejit/form.hpp"

namespace ropejit::internal {

/// What a kernel knows of a field, and how its name tells a value that is not the default.
struct FormWords {
  const char* config =
      nullptr;            ///< member of KernelConfig (templates/config.cuh); null: other fields of a class tell it
  const char* type = "";  ///< the enumeration's name there
  const char* name = "";  ///< stands before the value's word, and for a flag alone: "_pad" in "_padzero"
};

template <class F, class V>
requires std::same_as<std::remove_const_t<F>, LaunchForm>
void visit_fields(F& form, V& visitor) {
  visitor.choice("placement", form.placement, FormWords{});  // the operands' stores
  visitor.choice("strides", form.strides, FormWords{});      // the variant's
  visitor.choice("positions", form.positions, {"positions", "PositionSource", "_"});
  visitor.choice("angles", form.angles, FormWords{});  // with the spec's AngleRounding
  visitor.choice("table_dtype", form.table_dtype, {"table_element", "Element", "_"});
  visitor.choice("padding", form.padding, {"padding", "Padding", "_pad"});
  visitor.choice("context_parallel", form.context_parallel, {"context_parallel", "ContextParallel", "_"});
  visitor.choice("k_rows", form.k_rows, FormWords{});  // k's store
  visitor.flag("counted", form.counted, {"counted", "", "_counted"});
  visitor.flag("overlaps_previous", form.overlaps_previous, {"overlaps_previous", "", "_overlaps"});
  visitor.choice("v_rows", form.v_rows, FormWords{});  // v's store
  visitor.flag("ready_lists", form.ready_lists, {"ready_lists", "", "_ready"});
  visitor.flag("k_beside", form.k_beside, FormWords{});                // k's store
  visitor.flag("norm_statistics", form.norm_statistics, FormWords{});  // the operands' norms, as the next
  visitor.flag("norm_sums", form.norm_sums, FormWords{});
  visitor.flag("statistics_only", form.statistics_only, FormWords{});  // the operands' stores
  visitor.flag("grouped_q", form.grouped_q, FormWords{});              // q's heads
  visitor.choice("token_requests", form.token_requests, FormWords{});  // the stores of k and v, as all of the next
  visitor.choice("token_places", form.token_places, FormWords{});
  visitor.flag("v_beside", form.v_beside, FormWords{});
  visitor.flag("k_split", form.k_split, FormWords{});
}

}  // namespace ropejit::internal
