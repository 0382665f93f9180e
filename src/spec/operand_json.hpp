// An operand of a spec as JSON.
#pragma once

#include <string>

#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// {"heads": 32, "head_dim": 128, "norm": {"eps": 1e-06}}. Unknown keys and what is out of range by itself throw Error.
Operand read_operand(const ObjectReader& reader);

/// What read_operand reads, with the same bits: what is not the default, and some that today's readers want to see.
std::string operand_to_json(const Operand& operand);

}  // namespace ropejit::internal
