// A person's choice among tuning records: made, or taken back.
#pragma once

#include <cstdint>
#include <string>

#include "tune/record_set.hpp"

namespace ropejit::internal {

struct PinChoice {
  std::string class_digits;  ///< the first of a class's hash, four at least
  std::int64_t tokens = 0;
  std::string variant;  ///< parse_variant reads it; with `unpin` empty
  bool unpin = false;
};

/// Changes the records of the class on every device that there are any of: the record of these tokens is pinned, made
/// from the nearest one where there is none; or is no longer pinned, and removed if it was never timed. Returns a line
/// for each. Throws Error{invalid_argument} where the digits do not begin exactly one class, or there is no such pin;
/// nothing is changed then. `path` names the records in the message.
std::string apply_pin(RecordSet& records, const PinChoice& choice, const std::string& path);

}  // namespace ropejit::internal
