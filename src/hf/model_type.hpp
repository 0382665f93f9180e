// Which model type a config.json is read as: the one place that decides whether it is read at all.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hf/families.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct HfModelType {
  std::string name;  ///< a language type that is known
  HfFamily family;
  std::vector<std::string> warnings;  ///< a line each
};

/// `configs`: the whole model's first, the language model's last; each has a model_type of its own or none. `as`: the
/// type to read the language model as, whatever they say. Throws Error naming the type and the ways on: for one that is
/// not known, known not to be built, or absent, and for `as` where it is no known type itself.
HfModelType read_hf_model_type(const std::vector<ObjectReader>& configs, const std::optional<std::string>& as);

}  // namespace ropejit::internal
