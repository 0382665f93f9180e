#include "ropejit/error.hpp"

#include <fmt/format.h>

#include <utility>

namespace ropejit {
inline namespace v0 {

const char* to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::ok: return "ok";
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::parse_error: return "parse_error";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::device_unavailable: return "device_unavailable";
    case ErrorCode::compile_failed: return "compile_failed";
    case ErrorCode::load_failed: return "load_failed";
    case ErrorCode::launch_failed: return "launch_failed";
    case ErrorCode::io_error: return "io_error";
    case ErrorCode::not_prepared: return "not_prepared";
    case ErrorCode::internal: return "internal";
    case ErrorCode::not_cached: return "not_cached";
  }
  return "unknown";
}

Error::Error(ErrorCode code, const char* stage, const std::string& message, std::string log)
    : std::runtime_error(message), code_(code), stage_(stage != nullptr ? stage : ""), log_(std::move(log)) {}

// Out of line: the vtable and the type info, by which a catch in another library knows the type, live here.
Error::~Error() = default;

std::string LaunchStatus::message() const {
  std::string text = to_string(code);
  if (reason != nullptr) text += fmt::format(": {}", reason);
  if (driver_code != 0) text += fmt::format(" (driver error {})", driver_code);
  return text;
}

}  // namespace v0
}  // namespace ropejit
