#include "support/field_error.hpp"

#include <fmt/format.h>

namespace ropejit::internal {

Error field_error(ErrorCode code, std::string_view field, std::string_view found, std::string_view allowed) {
  return Error(code, "spec", fmt::format("{}: found {}, allowed: {}", field, found, allowed));
}

Error missing_field(std::string_view field, std::string_view allowed) {
  return Error(ErrorCode::parse_error, "spec", fmt::format("{}: missing, allowed: {}", field, allowed));
}

}  // namespace ropejit::internal
