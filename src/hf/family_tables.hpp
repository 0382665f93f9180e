// The parts of an HfFamily, a table each. Model types come without what names a part of a model ("_text").
#pragma once

#include <algorithm>
#include <iterator>
#include <string_view>

#include "hf/families.hpp"

namespace ropejit::internal {

template <class Table>
bool is_in(const Table& table, std::string_view name) {
  return std::find(std::begin(table), std::end(table), name) != std::end(table);
}

/// needs_theta, needs_rope_dict, needs_fraction, needs_head_dim, needs_kv_heads.
void set_hf_defaults(std::string_view model_type, HfFamily& family);

/// axes, indexer.
void set_hf_axes(std::string_view model_type, HfFamily& family);

/// Everything about layers.
void set_hf_layers(std::string_view model_type, HfFamily& family);

}  // namespace ropejit::internal
