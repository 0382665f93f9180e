// Models whose prologue differs from Qwen3's: what the set "models" is made of, one for each kind of norm and stage.
#pragma once

#include <string_view>
#include <vector>

#include "bench/cells.hpp"

namespace ropejit::bench {

struct PrologueModel {
  std::string_view name;  ///< of the end of a case's name
  Shape shape;
  Arrangement arrangement = Arrangement::split_half;
  void (*add_stages)(RopeSpec& spec) = nullptr;  ///< to a spec of q, k and v that rotates
};

const std::vector<PrologueModel>& prologue_models();

/// The one of that name; null for none.
const PrologueModel* find_prologue_model(std::string_view name);

}  // namespace ropejit::bench
