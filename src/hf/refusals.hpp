// The families whose rotation this version does not build, and why.
#pragma once

#include <string_view>

namespace ropejit::internal {

/// "which has no rotary embedding"; null where the family is built, or not known at all.
const char* hf_refusal(std::string_view model_type);

}  // namespace ropejit::internal
