// What a service was asked for, a line of JSON each, in the file that ROPEJIT_RECORD names: `ropejit warm --recorded`
// makes the same binaries elsewhere.
//
//   {"schema":1,"spec":{...},"form":{...},"arch":"sm_90","device":"sm_90/132/...","variants":["flat_v16_h8_t128",...]}
//
// Processes may share a file: a line is appended by one write.
#pragma once

#include <string>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "service/events.hpp"
#include "target/target.hpp"
#include "tune/choice.hpp"

namespace ropejit::internal {

/// A line, without its end. `choices` may repeat a variant.
std::string request_line(const RopeSpec& spec, const LaunchForm& form, const DeviceKey& device,
                         const std::vector<ServingChoice>& choices);

/// Thread-safe.
class RequestLog {
 public:
  /// Appends to the file that the environment names; if none, notes nothing. `events` must outlive the log.
  explicit RequestLog(Events& events);

  bool is_on() const { return !path_.empty(); }
  /// Notes a request. What goes wrong is a warning.
  void add(const std::string& line) const;

 private:
  const std::string path_;
  Events& events_;
};

}  // namespace ropejit::internal
