// Keys of a config.json that nothing reads though their names speak of the rotation or of heads: dropped in silence,
// one of them changes a model without a word.
#pragma once

#include <string>
#include <vector>

#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

struct HfReading {
  const std::vector<ObjectReader>& configs;  ///< the whole model's first, the language model's last
  const KeyLog& log;                         ///< of the keys that were read
  const std::vector<RopeSpec>& specs;        ///< what came of them, with the heads of all ranks
};

/// One line for each key that was not read, but those that say nothing (null, false, empty) or what the specs say too.
/// In the order of the configs, then of the keys.
std::vector<std::string> unread_keys(const HfReading& reading);

}  // namespace ropejit::internal
