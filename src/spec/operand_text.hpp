// An operand in the words that people are shown.
#pragma once

#include <string>

#include "ropejit/spec.hpp"

namespace ropejit::internal {

/// "32x128", "16x192+128", "8x128 to fp32".
std::string operand_to_string(const Operand& operand);

}  // namespace ropejit::internal
