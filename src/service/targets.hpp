// Opens the target that a device's name means.
#pragma once

#include <memory>

#include "ropejit/options.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

/// "auto", "cuda", "cuda:N" or "host" (option, else ROPEJIT_DEVICE, else "auto"). Throws Error{invalid_argument}
/// for any other name, Error{device_unavailable} where the named device cannot be had.
std::shared_ptr<const Target> open_target(const ServiceOptions& options);

}  // namespace ropejit::internal
