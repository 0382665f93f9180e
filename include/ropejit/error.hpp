// Errors of the library. Everything that may be slow (reading a spec, get, compiling, loading) throws ropejit::Error;
// launch never throws and returns a LaunchStatus.
#pragma once

#include <stdexcept>
#include <string>

#include "ropejit/export.hpp"

namespace ropejit {
inline namespace v0 {

/// What kind of thing went wrong. The numbers are those of the C ABI and do not change.
enum class ErrorCode : int {
  ok = 0,
  invalid_argument = 1,    ///< a value of the spec, the form, the options or the launch is not allowed
  parse_error = 2,         ///< text that is not JSON, or not of the form asked for
  unsupported = 3,         ///< valid, but not built by this version; the message says what is
  device_unavailable = 4,  ///< no driver, no such device, or a device this library cannot serve
  compile_failed = 5,      ///< the compiler is missing or refused the source; see Error::log
  load_failed = 6,         ///< the driver (or dlopen) refused a binary
  launch_failed = 7,       ///< the driver refused a launch; LaunchStatus::driver_code says which error
  io_error = 8,            ///< a file could not be read or written
  not_prepared = 9,        ///< a launch through an empty handle, or with a form the handle was not made for
  internal = 10,           ///< a defect of this library
  not_cached = 11,         ///< a binary is in no cache, and compiling is not allowed (OnMiss::error)
};

/// The code's name: "invalid_argument".
ROPEJIT_EXPORT const char* to_string(ErrorCode code) noexcept;

/// what() is one line that names the field, what was found and what is allowed.
class ROPEJIT_EXPORT Error : public std::runtime_error {
 public:
  /// `stage`: where it happened ("spec", "lower", "compile", "load", "store", "device"); static storage.
  Error(ErrorCode code, const char* stage, const std::string& message, std::string log = {});
  ~Error() override;

  /// What kind of thing went wrong.
  ErrorCode code() const noexcept { return code_; }
  /// Where it happened: one of the stages that the constructor lists.
  const char* stage() const noexcept { return stage_; }
  /// The compiler's own words, several lines; empty where no compiler was involved.
  const std::string& log() const noexcept { return log_; }

 private:
  ErrorCode code_;
  const char* stage_;
  std::string log_;
};

/// The outcome of a launch: 24 bytes, no allocation. Converts to true when the launch was queued.
struct LaunchStatus {
  ErrorCode code = ErrorCode::ok;  ///< what kind of thing went wrong
  int driver_code = 0;             ///< CUresult of a launch the driver refused, else 0
  const char* reason = nullptr;    ///< one line in static storage; null when ok

  /// True where the launch was queued.
  explicit operator bool() const noexcept { return code == ErrorCode::ok; }
  /// Code, reason and the driver's number in one line.
  ROPEJIT_EXPORT std::string message() const;
};

}  // namespace v0
}  // namespace ropejit
